/* What can be known before start, and what -t checks: rule files, and with
 * `test` certificates and the folders of local panels. The rules are compiled
 * by the builder, as for an image. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_master.h"
#include "v2_log.h"
#include "v2_panel.h"
#include "v2_tls.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define V2_CHECK_MS     30000

static v2_int_t v2_check_rules(const v2_conf_t *conf);
static v2_int_t v2_check_build(v2_proc_t *p, v2_start_t *st);
static v2_int_t v2_check_node(const v2_node_conf_t *node);
static v2_int_t v2_check_pair(const v2_node_conf_t *node);
static void *v2_check_map(int fd, size_t *len);
static v2_int_t v2_check_panel(const v2_node_conf_t *node, const char *dir);


v2_int_t
v2_master_check(const v2_conf_t *conf, int test)
{
    uint32_t  i;
    v2_int_t  rc;

    rc = v2_check_rules(conf);

    for (i = 0; test && i < conf->nodes_n; i++) {
        if (v2_check_node(&conf->nodes[i]) != V2_OK) {
            rc = V2_ERROR;
        }
    }

    return rc;
}


v2_int_t
v2_rules_open(const v2_conf_t *conf, int rules[V2_RULES])
{
    int                 i;
    v2_file_id_t        id;
    const char *const   paths[V2_RULES] = {
        conf->route_path, conf->outbound_path, conf->dns_path
    };

    for (i = 0; i < V2_RULES; i++) {
        rules[i] = -1;

        if (paths[i][0] == '\0') {
            continue;
        }

        rules[i] = v2_file_load(paths[i], &id);

        if (rules[i] != -1) {
            continue;
        }

        if (errno != ENOENT) {
            v2_log(V2_LOG_EMERG, NULL, errno, "\"%s\" cannot be read",
                   paths[i]);
            v2_rules_close(rules);
            return V2_ERROR;
        }

        if (i == 0) {
            v2_log(V2_LOG_WARN, NULL, 0, "RouteConfigPath \"%s\" is not there: "
                   "no rules apply", paths[i]);
        }
    }

    return V2_OK;
}


void
v2_rules_close(int rules[V2_RULES])
{
    int  i;

    for (i = 0; i < V2_RULES; i++) {
        if (rules[i] != -1) {
            (void) close(rules[i]);
            rules[i] = -1;
        }
    }
}


static v2_int_t
v2_check_rules(const v2_conf_t *conf)
{
    int                      rules[V2_RULES];
    v2_int_t                 rc;
    v2_proc_t                p;
    v2_start_t               st;
    v2_rights_t              rights;
    static v2_builder_job_t  job;

    if (v2_rights_find(&rights, conf->user, conf->group) != V2_OK
        || v2_rules_open(conf, rules) != V2_OK)
    {
        return V2_ERROR;
    }

    memset(&job, 0, sizeof(v2_builder_job_t));
    job.image = -1;
    job.test = 1;
    job.route = rules[0];
    job.outbound = rules[1];
    job.dns = rules[2];

    memset(&st, 0, sizeof(v2_start_t));
    st.conf = conf;
    st.rights = &rights;
    st.access_fd = -1;
    st.arg = &job;
    st.keep = rules;
    st.keep_n = V2_RULES;

    v2_proc_init(&p, V2_CHILD_BUILDER);
    rc = v2_check_build(&p, &st);
    v2_proc_close(&p);
    v2_rules_close(rules);

    return rc;
}


static v2_int_t
v2_check_build(v2_proc_t *p, v2_start_t *st)
{
    int            status, fds[V2_CHANNEL_FDS];
    v2_int_t       rc;
    v2_msg_t       msg;
    struct pollfd  pfd;

    if (v2_proc_spawn(p, st) != V2_OK) {
        return V2_ERROR;
    }

    rc = V2_OK;
    pfd.fd = p->fd;
    pfd.events = POLLIN;

    while (poll(&pfd, 1, V2_CHECK_MS) > 0
           && v2_channel_recv(p->fd, &msg, fds) == V2_OK)
    {
        while (msg.fds_n > 0) {
            (void) close(fds[--msg.fds_n]);
        }

        if (msg.type == V2_MSG_FAILED) {
            msg.text[sizeof(msg.text) - 1] = '\0';
            v2_log(V2_LOG_EMERG, NULL, 0, "%s", msg.text);
            rc = V2_ERROR;
        }
    }

    while (waitpid(p->pid, &status, 0) == -1 && errno == EINTR) {
        /* void */
    }

    p->pid = 0;

    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? rc : V2_ERROR;
}


static v2_int_t
v2_check_node(const v2_node_conf_t *node)
{
    v2_int_t     rc;
    const char  *dir;

    rc = V2_OK;

    if (node->refused != NULL) {
        v2_log(V2_LOG_ERR, NULL, 0, "node %u would not start: %s",
               node->node_id, node->refused);
        rc = V2_ERROR;
    }

    if (node->cert_mode != V2_CERT_NONE && node->cert_mode != V2_CERT_SELF
        && v2_check_pair(node) != V2_OK)
    {
        rc = V2_ERROR;
    }

    dir = v2_node_dir(node);

    if (dir != NULL && v2_check_panel(node, dir) != V2_OK) {
        rc = V2_ERROR;
    }

    return rc;
}


static v2_int_t
v2_check_pair(const v2_node_conf_t *node)
{
    char       why[200];
    void      *cert, *key;
    size_t     cert_len, key_len;
    v2_int_t   rc;
    v2_pair_t  pair;

    rc = v2_pair_load(&pair, node, why, sizeof(why));

    if (rc == V2_OK) {
        cert = v2_check_map(pair.cert, &cert_len);
        key = v2_check_map(pair.key, &key_len);
        rc = V2_ERROR;

        if (cert == NULL || key == NULL) {
            (void) snprintf(why, sizeof(why), "the certificate is empty");

        } else {
            rc = v2_tls_check_pair(cert, cert_len, key, key_len, why,
                                   sizeof(why));
        }

        if (cert != NULL) {
            (void) munmap(cert, cert_len);
        }

        if (key != NULL) {
            (void) munmap(key, key_len);
        }

        v2_pair_close(&pair);
    }

    if (rc != V2_OK) {
        v2_log(V2_LOG_ERR, NULL, 0, "node %u: %s", node->node_id, why);
    }

    return rc;
}


static void *
v2_check_map(int fd, size_t *len)
{
    void         *p;
    struct stat   st;

    if (fstat(fd, &st) == -1 || st.st_size == 0) {
        return NULL;
    }

    *len = (size_t) st.st_size;
    p = mmap(NULL, *len, PROT_READ, MAP_PRIVATE, fd, 0);

    return p == MAP_FAILED ? NULL : p;
}


/* The folder of a local panel, and the two files of this node in it. */

static v2_int_t
v2_check_panel(const v2_node_conf_t *node, const char *dir)
{
    int                       i;
    char                      path[4096];
    v2_int_t                  rc;
    static const char *const  names[] = { "node", "users" };

    rc = V2_OK;

    for (i = 0; i < 2; i++) {
        (void) snprintf(path, sizeof(path), "%.4000s/%s-%u.json", dir,
                        names[i], node->node_id);

        if (access(path, R_OK) == -1) {
            v2_log(V2_LOG_ERR, NULL, errno, "node %u: \"%s\" cannot be read",
                   node->node_id, path);
            rc = V2_ERROR;
        }
    }

    return rc;
}
