#pragma once

#include "apps/serving/reply.hpp"

namespace banyan {

// What answers each route. Called on the loop's OS thread; may throw `request_error`.

void list_trees(http_context&, const reply_ptr&);
void submit_tree(http_context&, const reply_ptr&);
void show_tree(http_context&, const reply_ptr&);
void list_tree_threads(http_context&, const reply_ptr&);
void cancel_tree(http_context&, const reply_ptr&);
void pause_tree(http_context&, const reply_ptr&);
void resume_tree(http_context&, const reply_ptr&);
void stream_tree(http_context&, const reply_ptr&);
void stream_forest(http_context&, const reply_ptr&);

void list_threads(http_context&, const reply_ptr&);
void list_pools(http_context&, const reply_ptr&);
void list_nodes(http_context&, const reply_ptr&);
void show_status(http_context&, const reply_ptr&);
void show_metrics(http_context&, const reply_ptr&);
void show_health(http_context&, const reply_ptr&);
http_response health();
void show_readiness(http_context&, const reply_ptr&);

void list_models(http_context&, const reply_ptr&);
void show_model(http_context&, const reply_ptr&);
void complete(http_context&, const reply_ptr&);

void show_description(http_context&, const reply_ptr&);
void show_page(http_context&, const reply_ptr&);
void show_page_file(http_context&, const reply_ptr&);

} // namespace banyan
