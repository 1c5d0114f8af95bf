#include "solver/search.hpp"
