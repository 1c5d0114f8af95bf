#include "solver/tree.hpp"
