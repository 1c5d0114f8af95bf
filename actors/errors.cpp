#include "actors/errors.hpp"
