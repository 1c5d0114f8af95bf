#include "model/tokenizer.hpp"
