/* What the tests of the configuration share: texts that are parsed, and the
 * log that this fills. */

#ifndef V2_CONF_TEST_H
#define V2_CONF_TEST_H

#include "v2_config.h"
#include "v2_core.h"
#include "v2_conf.h"

#include "v2_conf_keys.h"
#include "v2_log.h"
#include "v2_ring.h"

#include "tap.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define NAME        "/conf/test.json"
#define NODE        "\"ApiHost\": \"http://p.test/api\", \"ApiKey\": \"k\", " \
                    "\"NodeID\": 7"

/* A member of the configuration or of its node, and what the log must say;
 * NULL: nothing at all. */
typedef struct {
    const char  *member;
    const char  *line;
} say_t;

static int   log_fd;
static char  log_text[65536];


static void
log_start(void)
{
    if (ftruncate(log_fd, 0) == -1) {
        abort();
    }
}


static const char *
log_read(void)
{
    ssize_t  n;

    n = pread(log_fd, log_text, sizeof(log_text) - 1, 0);
    log_text[n > 0 ? n : 0] = '\0';

    return log_text;
}


TAP_USED static int
logged(const char *what)
{
    if (strstr(log_read(), what) != NULL) {
        return 1;
    }

    diag("log: %s", log_text);

    return 0;
}


static v2_conf_t *
parse(const char *text)
{
    log_start();

    return v2_conf_parse(text, strlen(text), NAME, NULL, 1);
}


/* A configuration with one node and a member more at the top level. */
static v2_conf_t *
parse_top(const char *member)
{
    char  text[4096];

    snprintf(text, sizeof(text), "{ %s%s \"Nodes\": [{ " NODE " }] }", member,
             member[0] == '\0' ? "" : ",");

    return parse(text);
}


/* A configuration of one node with a member more. */
TAP_USED static v2_conf_t *
parse_node(const char *member)
{
    char  text[4096];

    snprintf(text, sizeof(text), "{ \"Nodes\": [{ " NODE "%s%s }] }",
             member[0] == '\0' ? "" : ", ", member);

    return parse(text);
}


static void
log_open(void)
{
    log_fd = memfd_create("log", MFD_CLOEXEC);
    (void) fcntl(log_fd, F_SETFL, O_APPEND);
    v2_log_init(log_fd, V2_LOG_INFO, -1);
}

#endif
