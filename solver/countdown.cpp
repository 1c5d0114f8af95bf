#include "solver/countdown.hpp"
