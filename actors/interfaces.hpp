#pragma once

#include <chrono>
#include <cstdint>

#include <caf/fwd.hpp>
#include <caf/replies_to.hpp>
#include <caf/timespan.hpp>
#include <caf/type_id.hpp>
#include <caf/typed_actor.hpp>

namespace banyan {

enum class errc : std::uint8_t;
struct accept_request;
struct accepted_tree;
struct sequence_request;
struct sequence_status;
struct cancel_request;
struct decode_cancel;
struct decode_progress;
struct decode_reply;
struct decode_request;
struct decode_watch;
struct end_thread;
struct finished_tree;
struct group_request;
struct lease_release;
struct node_status;
struct pool_status;
struct solution;
struct solve_request;
struct spawn_notice;
struct spawn_request;
struct resume_thread;
struct rollout_status;
struct start_request;
struct steer_request;
struct store_status;
struct stored;
struct thread_boundary;
struct thread_report;
struct thread_request;
struct thread_status;
struct token_grant;
struct token_request;
struct trainer_status;
struct tree_accepted;
struct tree_boundary;
struct tree_groups;
struct tree_request;
struct tree_state;
struct tree_status;
struct tree_work;
struct watch_request;
struct weights_published;
struct weights_ready;
struct weights_taken;

} // namespace banyan

CAF_BEGIN_TYPE_ID_BLOCK(banyan, caf::first_custom_type_id)
CAF_ADD_TYPE_ID(banyan, (banyan::errc))
CAF_ADD_TYPE_ID(banyan, (banyan::accept_request))
CAF_ADD_TYPE_ID(banyan, (banyan::accepted_tree))
CAF_ADD_TYPE_ID(banyan, (banyan::sequence_request))
CAF_ADD_TYPE_ID(banyan, (banyan::sequence_status))
CAF_ADD_TYPE_ID(banyan, (banyan::cancel_request))
CAF_ADD_TYPE_ID(banyan, (banyan::decode_cancel))
CAF_ADD_TYPE_ID(banyan, (banyan::decode_progress))
CAF_ADD_TYPE_ID(banyan, (banyan::decode_reply))
CAF_ADD_TYPE_ID(banyan, (banyan::decode_request))
CAF_ADD_TYPE_ID(banyan, (banyan::decode_watch))
CAF_ADD_TYPE_ID(banyan, (banyan::end_thread))
CAF_ADD_TYPE_ID(banyan, (banyan::finished_tree))
CAF_ADD_TYPE_ID(banyan, (banyan::group_request))
CAF_ADD_TYPE_ID(banyan, (banyan::lease_release))
CAF_ADD_TYPE_ID(banyan, (banyan::node_status))
CAF_ADD_TYPE_ID(banyan, (banyan::pool_status))
CAF_ADD_TYPE_ID(banyan, (banyan::resume_thread))
CAF_ADD_TYPE_ID(banyan, (banyan::rollout_status))
CAF_ADD_TYPE_ID(banyan, (banyan::solution))
CAF_ADD_TYPE_ID(banyan, (banyan::solve_request))
CAF_ADD_TYPE_ID(banyan, (banyan::spawn_notice))
CAF_ADD_TYPE_ID(banyan, (banyan::spawn_request))
CAF_ADD_TYPE_ID(banyan, (banyan::start_request))
CAF_ADD_TYPE_ID(banyan, (banyan::steer_request))
CAF_ADD_TYPE_ID(banyan, (banyan::store_status))
CAF_ADD_TYPE_ID(banyan, (banyan::stored))
CAF_ADD_TYPE_ID(banyan, (banyan::thread_boundary))
CAF_ADD_TYPE_ID(banyan, (banyan::thread_report))
CAF_ADD_TYPE_ID(banyan, (banyan::thread_status))
CAF_ADD_TYPE_ID(banyan, (banyan::tree_accepted))
CAF_ADD_TYPE_ID(banyan, (banyan::tree_boundary))
CAF_ADD_TYPE_ID(banyan, (banyan::tree_groups))
CAF_ADD_TYPE_ID(banyan, (banyan::tree_state))
CAF_ADD_TYPE_ID(banyan, (banyan::tree_status))
CAF_ADD_TYPE_ID(banyan, (banyan::tree_work))
CAF_ADD_TYPE_ID(banyan, (banyan::watch_request))
CAF_ADD_TYPE_ID(banyan, (banyan::weights_published))
CAF_ADD_TYPE_ID(banyan, (banyan::weights_ready))
CAF_ADD_TYPE_ID(banyan, (banyan::weights_taken))
CAF_ADD_TYPE_ID(banyan, (banyan::token_grant))
CAF_ADD_TYPE_ID(banyan, (banyan::token_request))
CAF_ADD_TYPE_ID(banyan, (banyan::trainer_status))
CAF_ADD_TYPE_ID(banyan, (banyan::tree_request))
CAF_ADD_TYPE_ID(banyan, (banyan::thread_request))
CAF_ADD_ATOM(banyan, banyan::atom, status, "status")
CAF_ADD_ATOM(banyan, banyan::atom, step, "step")
CAF_ADD_ATOM(banyan, banyan::atom, cancel, "cancel")
CAF_ADD_ATOM(banyan, banyan::atom, tick, "tick")
CAF_ADD_ATOM(banyan, banyan::atom, drain, "drain")
CAF_ADD_ATOM(banyan, banyan::atom, park, "park")
CAF_ADD_ATOM(banyan, banyan::atom, close, "close")
CAF_ADD_ATOM(banyan, banyan::atom, pause, "pause")
CAF_ADD_ATOM(banyan, banyan::atom, probe, "probe")
CAF_END_TYPE_ID_BLOCK(banyan)

namespace banyan {

/// Decodes for all threads, in one batch, on one device.
using pool_actor = caf::typed_actor<
    // Decodes one sequence on from its last token until a stop, its limit or an error.
    caf::replies_to<decode_request>::with<decode_reply>,
    // Breaks off the running and queued requests of a thread and of all threads below it; they
    // answer with what was sampled until then.
    caf::reacts_to<decode_cancel>,
    // Begins or ends telling the asker of a request what is sampled.
    caf::reacts_to<decode_watch>,
    // Shows how many cache blocks a thread has, and whether they are kept for it.
    caf::replies_to<sequence_request>::with<sequence_status>,
    // Gives back the cache blocks that a waiting thread kept.
    caf::reacts_to<lease_release>,
    // Decodes with these weights from the next step on; `bad_weights` where it cannot, and then it
    // goes on with those it has.
    caf::replies_to<weights_ready>::with<weights_taken>,
    // Shows queue, batch and cache as they are now.
    caf::replies_to<atom::status>::with<pool_status>,
    // Runs one step; the pool sends it to itself while work is left.
    caf::reacts_to<atom::step>>;

/// Reasons: decodes, spawns, joins, finishes.
using thread_actor = caf::typed_actor<
    // Begins; its report goes to the session that sent this.
    caf::reacts_to<start_request>,
    // Ends as soon as its pool has given back what was sampled, with a report of all that was done.
    caf::reacts_to<end_thread>,
    // Breaks off what is decoded and stays where it is: paused, or, parked, as a record to go on
    // from.
    caf::reacts_to<atom::pause>, caf::reacts_to<atom::park>,
    // Goes on after a pause.
    caf::reacts_to<resume_thread>,
    // Somebody watches the tree, or nobody any more.
    caf::reacts_to<watch_request>,
    // A watched thread hears what was sampled so far.
    caf::reacts_to<decode_progress>,
    // Asks its pool again after the pool was full; the thread sends it to itself.
    caf::reacts_to<atom::step>,
    // Looks whether the time of a join is over; the thread sends it to itself.
    caf::reacts_to<atom::tick>,
    // Shows the thread with its text; its pool is asked too, where that is wished.
    caf::replies_to<thread_request>::with<thread_status>,
    // Shows the thread with its text.
    caf::replies_to<atom::status>::with<thread_status>>;

/// Owns one tree: its threads, its budget, its deadline.
using session_actor = caf::typed_actor<
    // Solves the problem, from the beginning or from where the records end; answered once, with the
    // finished tree, when the store has it.
    caf::replies_to<tree_work>::with<finished_tree>,
    // Starts the children of a round but those that were started before.
    caf::reacts_to<spawn_notice>,
    // The child's solution or a typed failure, once it has ended.
    caf::replies_to<spawn_request>::with<solution>,
    // A thread spawned, joined or paused: what it would go on from goes to the store.
    caf::reacts_to<thread_boundary>,
    // Lets a thread sample some more of what the tree may spend; no answer is more than was asked
    // for.
    caf::replies_to<token_request>::with<token_grant>,
    // Ends a thread: what it did joins the tree, its solution goes to its asker.
    caf::reacts_to<thread_report>,
    // Ends a thread and all below it; "/" is the whole tree. From its parent it means: not awaited
    // any more.
    caf::reacts_to<cancel_request>,
    // Cancels, pauses or resumes a thread and all below it; answers with the tree when that has
    // come about and the store knows, or after a second.
    caf::replies_to<steer_request>::with<tree_status>,
    // Records where every thread is and leaves without an answer: the tree goes on another time.
    caf::reacts_to<atom::park>,
    // Parks as soon as no thread can go on before somebody resumes it.
    caf::reacts_to<atom::close>,
    // Somebody watches the tree, or nobody any more.
    caf::reacts_to<watch_request>,
    // Looks at the clock, and ends the tree when its time is over; the session sends it to itself.
    caf::reacts_to<atom::tick>,
    // Shows a thread with its text.
    caf::replies_to<thread_request>::with<thread_status>,
    // Shows the tree as it is now.
    caf::replies_to<tree_request>::with<tree_status>>;

/// Takes work for this process: starts a session per tree, places threads on pools.
using node_actor = caf::typed_actor<
    // Solves the problem in a session of its own.
    caf::replies_to<solve_request>::with<finished_tree>,
    // The same; answered as soon as the store has the request.
    caf::replies_to<accept_request>::with<accepted_tree>,
    // Goes on with a tree that the store had when the process began.
    caf::reacts_to<tree_work>,
    // A session's tree reached a boundary or a state, which goes on to the store.
    caf::reacts_to<tree_boundary>, caf::replies_to<tree_state>::with<stored>,
    // Cancels, pauses or resumes a tree or a part of it; answers as the session does.
    caf::replies_to<steer_request>::with<tree_status>,
    // Somebody watches a tree, or nobody any more.
    caf::reacts_to<watch_request>,
    // Ends a tree or a part of it.
    caf::reacts_to<cancel_request>,
    // Shows a tree that runs or waits for its turn; `not_found` if there is none with that id.
    caf::replies_to<tree_request>::with<tree_status>,
    // Shows a thread of a running tree with its text; `not_found` if there is none.
    caf::replies_to<thread_request>::with<thread_status>,
    // A session's tree is done: counted, and passed on to the store, which answers.
    caf::replies_to<finished_tree>::with<stored>,
    // Takes no more work, cancels what runs, and leaves.
    caf::reacts_to<atom::drain>,
    // Takes no more work and begins none; what runs goes on while it can.
    caf::reacts_to<atom::close>,
    // Takes no more work, leaves what runs and waits to the store, and leaves.
    caf::reacts_to<atom::park>,
    // Adds up sessions and pools.
    caf::replies_to<atom::status>::with<node_status>>;

/// Keeps what becomes of a tree. Answers when it is durable, with `not_stored` where that failed.
using tree_keeper_actor = caf::typed_actor<
    // An unfinished tree's thread is at a boundary; replaces what was known of the thread.
    caf::reacts_to<tree_boundary>,
    // An unfinished tree entered a state.
    caf::replies_to<tree_state>::with<stored>,
    // A tree is done.
    caf::replies_to<finished_tree>::with<stored>>;

/// A keeper that says nothing for so long has not stored.
constexpr caf::timespan store_patience = std::chrono::seconds(60);

/// Keeps trees from the moment they were taken.
using tree_store_actor = tree_keeper_actor::extend<
    // A request was taken.
    caf::replies_to<tree_accepted>::with<stored>,
    // Writes what has come since the last time; the store sends it to itself.
    caf::reacts_to<atom::step>,
    // Drops finished trees that are too old or too many; the store sends it to itself.
    caf::reacts_to<atom::tick>,
    // Tries whether it can write again; the store sends it to itself after a write that failed.
    caf::reacts_to<atom::probe>,
    // Writes what came before, and ends.
    caf::reacts_to<atom::drain>,
    // Shows how much the next commit has, and whether the last one failed.
    caf::replies_to<atom::status>::with<store_status>>;

/// Rolls out the groups of trees that a trainer learns from.
using rollout_actor = caf::typed_actor<
    // The trees of a step, when they are complete.
    caf::replies_to<group_request>::with<tree_groups>,
    // Every pool has the weights of this epoch: what is sampled with them begins.
    caf::reacts_to<weights_published>,
    // Looks for trees whose time is over; the actor sends it to itself.
    caf::reacts_to<atom::tick>,
    // Shows what runs and what is still missing.
    caf::replies_to<atom::status>::with<rollout_status>>;

/// Turns finished trees into better weights, and publishes them to the pools.
using trainer_actor = caf::typed_actor<
    // Sets out, and learns from a part of the trees; the trainer sends it to itself.
    caf::reacts_to<atom::step>,
    // Looks whether its time is over; likewise.
    caf::reacts_to<atom::tick>,
    // Ends what it is learning, writes a checkpoint, and leaves.
    caf::reacts_to<atom::drain>,
    // Shows what it is doing; it answers between two parts of that.
    caf::replies_to<atom::status>::with<trainer_status>>;

} // namespace banyan
