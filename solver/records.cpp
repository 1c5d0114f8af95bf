#include "solver/records.hpp"
