#include "solver/errc.hpp"
