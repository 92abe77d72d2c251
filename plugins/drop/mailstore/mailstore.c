#include "plugins/drop/mailstore/mailstore.h"
