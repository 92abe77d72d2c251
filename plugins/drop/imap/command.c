#include "plugins/drop/imap/command.h"
