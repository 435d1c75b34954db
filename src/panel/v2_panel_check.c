/* What -t says about a `file:` node: its two files read with the parsers of the
 * panel process, into a zone of users that nobody sees. Runs in the builder of
 * a check, as User, and never elsewhere. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_log.h"
#include "v2_panel.h"
#include "v2_panel_answer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static v2_int_t v2_pcheck_users(const v2_node_conf_t *node, uint32_t slot,
    const char *body, size_t len, const v2_spec_t *spec, char *why,
    size_t size);
static char *v2_pcheck_read(const v2_node_conf_t *node, int dir,
    const char *kind, size_t most, size_t *len, char *why, size_t size);
static char *v2_pcheck_failed(const char *name, int err, char *why,
    size_t size);


v2_int_t
v2_panel_check(const v2_node_conf_t *node, uint32_t slot, int dir,
    v2_spec_t *spec, char *why, size_t size)
{
    char                *body;
    size_t               len;
    v2_int_t             rc;
    v2_config_answer_t   c;

    body = v2_pcheck_read(node, dir, "node", V2_CONFIG_MAX, &len, why, size);

    if (body == NULL) {
        return V2_ERROR;
    }

    rc = v2_answer_config(body, len, node, &c);
    free(body);

    if (rc != V2_OK) {
        (void) snprintf(why, size, "\"node-%u.json\": %s", node->node_id,
                        c.why);
        return V2_ERROR;
    }

    if (c.warn[0] != '\0') {
        v2_log(V2_LOG_WARN, NULL, 0, "node %u: %s", node->node_id, c.warn);
    }

    *spec = c.spec;
    spec->node = slot;
    spec->node_id = node->node_id;
    spec->conf_index = slot;
    spec->identity = v2_node_identity(node);

    body = v2_pcheck_read(node, dir, "users", V2_USERS_MAX, &len, why, size);

    if (body == NULL) {
        return V2_ERROR;
    }

    rc = v2_pcheck_users(node, slot, body, len, spec, why, size);
    free(body);

    return rc;
}


static v2_int_t
v2_pcheck_users(const v2_node_conf_t *node, uint32_t slot, const char *body,
    size_t len, const v2_spec_t *spec, char *why, size_t size)
{
    int                  fd;
    v2_shm_t            *shm;
    v2_users_answer_t    a;
    static v2_users_t   *users;

    if (users == NULL) {
        shm = v2_shm_create(&fd);
        users = (shm != NULL) ? v2_users_open(shm) : NULL;
    }

    if (users == NULL
        || v2_users_node(users, slot, spec->identity, node->node_id) != V2_OK)
    {
        (void) snprintf(why, size, "there is no room to check its users");
        return V2_ERROR;
    }

    if (v2_answer_users(body, len, spec, slot, v2_panel_identity(node), users,
                        &a) != V2_OK)
    {
        (void) snprintf(why, size, "\"users-%u.json\": %s", node->node_id,
                        a.why);
        return V2_ERROR;
    }

    if (a.skipped != 0) {
        v2_log(V2_LOG_WARN, NULL, 0, "node %u: %u of %u users are left out: "
               "%s", node->node_id, a.skipped, a.entries, a.first);
    }

    return V2_OK;
}


/* Heap text, or NULL. */
static char *
v2_pcheck_read(const v2_node_conf_t *node, int dir, const char *kind,
    size_t most, size_t *len, char *why, size_t size)
{
    int          fd;
    char         name[32], *body;
    ssize_t      got;
    struct stat  st;

    (void) snprintf(name, sizeof(name), "%s-%u.json", kind, node->node_id);

    fd = openat(dir, name, O_RDONLY|O_CLOEXEC|O_NONBLOCK);

    if (fd == -1) {
        return v2_pcheck_failed(name, errno, why, size);
    }

    body = NULL;
    *len = 0;

    if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
        (void) v2_pcheck_failed(name, EINVAL, why, size);

    } else if ((uint64_t) st.st_size > most) {
        (void) v2_pcheck_failed(name, EFBIG, why, size);

    } else if ((body = malloc((size_t) st.st_size + 1)) == NULL) {
        (void) v2_pcheck_failed(name, ENOMEM, why, size);

    } else {

        while (*len < (size_t) st.st_size
               && (got = read(fd, body + *len, (size_t) st.st_size - *len))
                  > 0)
        {
            *len += (size_t) got;
        }

        body[*len] = '\0';
    }

    (void) close(fd);
    return body;
}


static char *
v2_pcheck_failed(const char *name, int err, char *why, size_t size)
{
    (void) snprintf(why, size, "\"%s\" in the folder of ApiHost cannot be "
                    "read as uid %u (%d: %s)", name, (unsigned) geteuid(),
                    err, strerror(err));
    return NULL;
}
