/* What can be known before start, and what -t checks: user, StateDir, rule
 * files, and with `test` certificates and local panels.
 *
 * Files and folders are opened here, and read by a builder without rights, as
 * for an image. A node of a panel on the network has no spec then: of it only
 * what stands in the configuration is checked. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_master.h"
#include "v2_log.h"
#include "v2_panel.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define V2_CHECK_MS     30000
#define V2_CHECK_KEEP   (V2_RULES + 3 * V2_SHM_NODES)

static v2_int_t v2_check_node(const v2_conf_t *conf, uint32_t i);
static v2_int_t v2_check_build(v2_proc_t *p, v2_start_t *st);
static void v2_check_message(const v2_start_t *st, v2_msg_t *msg,
    v2_int_t *rc);

static v2_builder_job_t  v2_check_job;
static v2_pair_t         v2_check_pairs[V2_SHM_NODES];
static int               v2_check_keep[V2_CHECK_KEEP];


v2_int_t
v2_master_check(const v2_conf_t *conf, int test)
{
    int                *keep;
    uint32_t            i;
    v2_int_t            rc;
    v2_proc_t           p;
    v2_start_t          st;
    v2_rights_t         rights;
    v2_builder_job_t   *job;

    keep = v2_check_keep;
    job = &v2_check_job;

    if (v2_rights_find(&rights, conf->user, conf->group) != V2_OK
        || v2_rights_folder(&rights, conf->state_dir, !test) != V2_OK
        || v2_rules_open(conf, keep, 0) != V2_OK)
    {
        return V2_ERROR;
    }

    memset(job, 0, sizeof(v2_builder_job_t));
    job->image = -1;
    job->test = 1;
    job->route = keep[0];
    job->outbound = keep[1];
    job->dns = keep[2];

    memset(&st, 0, sizeof(v2_start_t));
    st.conf = conf;
    st.rights = &rights;
    st.access_fd = -1;
    st.arg = job;
    st.keep = keep;
    st.keep_n = V2_RULES;

    rc = V2_OK;

    for (i = 0; test && i < conf->nodes_n; i++) {
        if (v2_check_node(conf, i) != V2_OK) {
            rc = V2_ERROR;
        }

        keep[st.keep_n++] = v2_check_pairs[i].cert;
        keep[st.keep_n++] = v2_check_pairs[i].key;
    }

    for (i = 0; i < job->nodes_n; i++) {
        keep[st.keep_n++] = job->nodes[i].dir;
    }

    v2_proc_init(&p, V2_CHILD_BUILDER);

    if (v2_check_build(&p, &st) != V2_OK) {
        rc = V2_ERROR;
    }

    v2_proc_close(&p);

    for (i = 0; i < st.keep_n; i++) {
        if (keep[i] != -1) {
            (void) close(keep[i]);
        }
    }

    return rc;
}


v2_int_t
v2_rules_open(const v2_conf_t *conf, int rules[V2_RULES], int told)
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

        if (i == 0 && !told) {
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


/* Opens what the builder needs to check a node. A refused one was logged by the
 * load. */

static v2_int_t
v2_check_node(const v2_conf_t *conf, uint32_t i)
{
    char                    why[200];
    v2_int_t                rc;
    v2_pair_t              *pair;
    const char             *dir;
    v2_builder_node_t      *bn;
    const v2_node_conf_t   *node;
    static v2_pair_t        none = { .cert = -1, .key = -1 };

    rc = V2_OK;
    node = &conf->nodes[i];
    pair = &v2_check_pairs[i];
    v2_pair_init(pair);

    if (node->refused != NULL) {
        return V2_ERROR;
    }

    if (node->cert_mode != V2_CERT_NONE && node->cert_file[0] != '\0'
        && v2_pair_load(pair, node, why, sizeof(why)) != V2_OK
        && node->cert_mode != V2_CERT_SELF)
    {
        v2_log(V2_LOG_ERR, NULL, 0, "node %u: %s", node->node_id, why);
        rc = V2_ERROR;
    }

    bn = &v2_check_job.nodes[v2_check_job.nodes_n];
    bn->slot = i;
    bn->spec = NULL;
    bn->conf = node;
    bn->fresh = pair;
    bn->good = &none;
    bn->dir = -1;
    dir = v2_node_dir(node);

    if (dir != NULL) {
        bn->dir = open(dir, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

        if (bn->dir == -1) {
            v2_log(V2_LOG_ERR, NULL, errno, "node %u: the folder \"%s\" cannot "
                   "be opened", node->node_id, dir);
            return V2_ERROR;
        }
    }

    v2_check_job.nodes_n += rc == V2_OK || bn->dir != -1;

    return rc;
}


static v2_int_t
v2_check_build(v2_proc_t *p, v2_start_t *st)
{
    int            n, status, fds[V2_CHANNEL_FDS];
    v2_int_t       rc;
    v2_msg_t       msg;
    struct pollfd  pfd;

    if (v2_proc_spawn(p, st) != V2_OK) {
        return V2_ERROR;
    }

    rc = V2_OK;
    pfd.fd = p->fd;
    pfd.events = POLLIN;

    while ((n = poll(&pfd, 1, V2_CHECK_MS)) > 0
           && v2_channel_recv(p->fd, &msg, fds) == V2_OK)
    {
        while (msg.fds_n > 0) {
            (void) close(fds[--msg.fds_n]);
        }

        v2_check_message(st, &msg, &rc);
    }

    if (n == 0) {
        (void) kill(p->pid, SIGKILL);
    }

    while (waitpid(p->pid, &status, 0) == -1 && errno == EINTR) {
        /* void */
    }

    p->pid = 0;

    if (rc == V2_OK && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)) {
        v2_log(V2_LOG_EMERG, NULL, 0, "the check did not come to its end");
        return V2_ERROR;
    }

    return rc;
}


static void
v2_check_message(const v2_start_t *st, v2_msg_t *msg, v2_int_t *rc)
{
    if (msg->type == V2_MSG_FAILED) {
        v2_log(V2_LOG_EMERG, NULL, 0, "%s", msg->text);
        *rc = V2_ERROR;

    } else if (msg->type == V2_MSG_NODE_FAILED
               && msg->node < st->conf->nodes_n)
    {
        v2_log(V2_LOG_ERR, NULL, 0, "node %u: %s",
               st->conf->nodes[msg->node].node_id, msg->text);
        *rc = V2_ERROR;
    }
}
