/* What v2_core.h promises besides macros. Runs in every process. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_log.h"


void
v2_assert_failed(const char *what, const char *file, int line)
{
    v2_log(V2_LOG_ALERT, NULL, 0, "assertion \"%s\" failed at %s:%d", what,
           file, line);
}
