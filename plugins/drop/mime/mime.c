#include "plugins/drop/mime/mime.h"
