#include "model/phrase_tokenizer.hpp"

namespace banyan {
namespace {

// The place in this list is the id, and so part of the format: add at the end, change nothing else.
//
// A newline belongs to the phrase that ends its line, so that no piece reaches over the end of a
// prompt, of a spawn block or of a join block: there, texts tokenised apart and together give the
// same ids. Digits are never merged: a number is learnt digit by digit. There are no letters apart
// from the phrases, hence one id, that of "<Sub Searches>", bans the whole tag.
const std::vector<std::string>& countdown_pieces() {
  static const std::vector<std::string> pieces = {
      "<pad>", "<eos>",
      // numbers and operations
      "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "+", "-", "*", "/", "=",
      // what is left over between phrases
      "\n", " ", ",", ".", ":", "[", "]", "'", "#", "<", ">", ", ", ": ",
      // states
      "Moving to Node #", "\nCurrent State: ", ":[", "], Operations: [", "], Operations: []\n",
      "], Operations: ['", "', '", "']\n",
      // expansion
      "Exploring Operation: ", ", Resulting Numbers: [", "]\n", "Generated Node #", "] Operation: ",
      // ends; those without newline are for a text that stops there
      " equal: Goal Reached\n", " equal: Goal Reached", " unequal: No Solution\n",
      " unequal: No Solution", "No solution found.\n", "No solution found.",
      // conditioning
      "Sub Call Budget: ", "Token Budget: ",
      // spawn
      "<Calling Sub Searches>\n", "<Start Sub Search ", " at level ", "> Moving to Node #",
      "<End Calling Sub Searches>\n", "<End Calling Sub Searches>",
      // join
      "<Sub Searches>", "<No Solution in Sub Search ", "<Goal Reached in Sub Search ", " at Node #",
      ">\n", "<End Sub Searches>\n",
      // nested search in one thread
      "Start Sub Search at level ", ": Moving to Node #", "Exit Sub Search at level ",
      "No solution found in sub search\n",
      // a state without a move before it
      "Current State: "};
  return pieces;
}

} // namespace

std::shared_ptr<const tokenizer> countdown_tokenizer() {
  static const auto shared = std::make_shared<const phrase_tokenizer>(
      phrase_tokenizer::vocabulary{.pieces = countdown_pieces(), .eos = 1, .pad = 0});
  return shared;
}

} // namespace banyan
