/* The sd_notify protocol. See v2_notify.h. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_notify.h"
#include "v2_log.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>


void
v2_notify_send(v2_notify_e what)
{
    int                  fd, n;
    char                 text[128];
    size_t               len;
    const char          *path;
    struct timespec      ts;
    struct sockaddr_un   un;

    path = getenv("NOTIFY_SOCKET");

    if (path == NULL || (path[0] != '/' && path[0] != '@')) {
        return;
    }

    len = strlen(path);

    if (len >= sizeof(un.sun_path)) {
        return;
    }

    n = snprintf(text, sizeof(text), "%s\nMAINPID=%d\n",
                 what == V2_NOTIFY_READY ? "READY=1"
                 : what == V2_NOTIFY_STOPPING ? "STOPPING=1" : "RELOADING=1",
                 (int) getpid());

    if (what == V2_NOTIFY_RELOADING) {
        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        n += snprintf(text + n, sizeof(text) - (size_t) n,
                      "MONOTONIC_USEC=%" PRIu64 "\n",
                      (uint64_t) ts.tv_sec * 1000000
                      + (uint64_t) ts.tv_nsec / 1000);
    }

    memset(&un, 0, sizeof(un));
    un.sun_family = AF_UNIX;
    memcpy(un.sun_path, path, len);

    if (path[0] == '@') {
        un.sun_path[0] = '\0';          /* an abstract name */
    }

    fd = socket(AF_UNIX, SOCK_DGRAM|SOCK_CLOEXEC, 0);

    if (fd == -1
        || sendto(fd, text, (size_t) n, MSG_NOSIGNAL|MSG_DONTWAIT,
                  (struct sockaddr *) &un,
                  (socklen_t) (offsetof(struct sockaddr_un, sun_path) + len))
           == -1)
    {
        v2_log(V2_LOG_WARN, NULL, errno, "message to the service manager at "
               "\"%s\" failed", path);
    }

    if (fd != -1) {
        (void) close(fd);
    }
}
