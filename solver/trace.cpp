#include "solver/trace.hpp"
