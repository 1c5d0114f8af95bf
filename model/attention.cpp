#include "model/attention.hpp"
