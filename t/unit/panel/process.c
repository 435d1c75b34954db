/* The panel process on a folder, as the master runs it: forked, with shared
 * memory and a channel, until TERM or the end of the channel.
 *
 * needs: src/core/v2_core.c src/core/v2_log.c src/core/v2_time.c
 * needs: src/core/v2_flat.c src/core/v2_addr.c src/core/v2_shm.c
 * needs: src/core/v2_spec.c src/core/v2_channel.c src/core/v2_uuid.c
 * needs: src/core/v2_crypt.c src/core/v2_conf.c src/core/v2_conf_docs.c
 * needs: src/core/v2_conf_dump.c src/core/v2_conf_keys.c
 * needs: src/core/v2_conf_node.c src/core/v2_conf_text.c
 * needs: src/core/v2_conf_json.c
 * needs: src/core/v2_conf_tree.c src/core/v2_conf_value.c
 * needs: src/core/v2_conf_walk.c
 * needs: src/limit/v2_users.c src/limit/v2_users_rec.c
 * needs: src/limit/v2_users_map.c src/limit/v2_users_index.c
 * needs: src/limit/v2_recent.c src/limit/v2_bill.c
 * needs: src/panel/v2_panel_run.c src/panel/v2_panel_node.c
 * needs: src/panel/v2_panel_poll.c src/panel/v2_panel_report.c
 * needs: src/panel/v2_panel_lines.c src/panel/v2_panel_aside.c
 * needs: src/panel/v2_panel_config.c src/panel/v2_panel_users.c
 * needs: src/panel/v2_panel_alivelist.c src/panel/v2_panel_json.c
 * needs: src/panel/v2_panel_scan.c src/panel/v2_panel_text.c
 * needs: src/panel/v2_panel_http.c src/panel/v2_panel_ident.c
 * needs: src/panel/v2_panel_folder.c src/panel/v2_panel_file.c */
/* libs: -lcurl -ljansson -luuid -lcrypto -lm */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_bill.h"
#include "v2_channel.h"
#include "v2_log.h"
#include "v2_panel.h"
#include "v2_time.h"
#include "v2_users.h"
#include "../tap.h"
#include "codec.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define A  "3f1c8a52-7d0e-4b69-9a41-5c2f6e0b1d01"
#define B  "8b62d4e0-1f37-4c8a-b1d5-0e9a7c3f2b02"

static char         dir[64], state[96];
static v2_shm_t    *shm;
static v2_conf_t   *conf;
static pid_t        pid;
static int          channel;

extern const v2_panel_t  v2_panel_file;

const v2_panel_t *const  v2_panels[] = { &v2_panel_file, NULL };


static void
put(const char *name, const char *text)
{
    int   fd;
    char  path[128], tmp[128];

    snprintf(tmp, sizeof(tmp), "%s/.tmp", dir);
    snprintf(path, sizeof(path), "%s/%s", dir, name);

    fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd == -1 || write(fd, text, strlen(text)) != (ssize_t) strlen(text)
        || close(fd) == -1 || rename(tmp, path) == -1)
    {
        fail("cannot write %s", path);
    }
}


static const char *
get(const char *name)
{
    int          fd;
    char         path[128];
    ssize_t      n;
    static char  text[65536];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    text[0] = '\0';

    fd = open(path, O_RDONLY);
    if (fd != -1) {
        n = read(fd, text, sizeof(text) - 1);
        text[n > 0 ? n : 0] = '\0';
        close(fd);
    }

    return text;
}


static unsigned
lines(const char *name, const char *with)
{
    unsigned     n;
    const char  *p;

    n = 0;

    for (p = get(name); (p = strstr(p, with)) != NULL; p++) {
        n++;
    }

    return n;
}


static void
config(unsigned port)
{
    char  text[256];

    snprintf(text, sizeof(text), "{\"node_type\":\"vless\",\"server_port\":%u,"
             "\"tls\":0,\"network\":\"tcp\",\"base_config\":"
             "{\"push_interval\":3600,\"pull_interval\":3600}}", port);
    put("node-1.json", text);
}


static v2_conf_t *
conf_of(unsigned node)
{
    char  text[512];

    snprintf(text, sizeof(text), "{\"StateDir\":\"%s\",\"Cores\":[{\"Type\":"
             "\"xray\"}],\"Nodes\":[{\"ApiHost\":\"file:%s\",\"ApiKey\":\"k\","
             "\"NodeID\":%u}]}", state, dir, node);

    return v2_conf_parse(text, strlen(text), "test", NULL, 0);
}


static void
start(int push_fd)
{
    int              sv[2], none;
    v2_panel_env_t   env;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
                   sv) == -1)
    {
        fail("no channel");
        return;
    }

    pid = fork();

    if (pid == 0) {
        close(sv[0]);
        none = -1;
        memset(&env, 0, sizeof(env));
        env.shm = shm;
        env.proc = v2_shm_proc_take(shm, V2_ROLE_PANEL, 0);
        env.channel = sv[1];
        env.conf = conf;
        env.state_dir = state;
        env.dir_fds = &none;
        env.push_fds = &push_fd;
        env.alive_fds = &none;
        _exit(v2_panel_main(&env));
    }

    close(sv[1]);
    channel = sv[0];
}


/* The next message of this type within five seconds; the others are dropped.
 * A spec is copied. */
static int
message(unsigned type, v2_spec_t *spec)
{
    int               fds[V2_CHANNEL_FDS], i;
    v2_msg_t          m;
    struct pollfd     p;
    const v2_spec_t  *s;

    for (i = 0; i < 100; i++) {
        p.fd = channel;
        p.events = POLLIN;
        poll(&p, 1, 50);

        while (v2_channel_recv(channel, &m, fds) == V2_OK) {

            if (m.type == V2_MSG_SPEC) {
                s = v2_spec_open(fds[0]);
                close(fds[0]);

                if (s != NULL && spec != NULL) {
                    *spec = *s;
                }

                v2_spec_close(s);
            }

            if (m.type == type) {
                return 1;
            }
        }
    }

    return 0;
}


static int
ends(int sig)
{
    int       status, i;
    uint32_t  slot;

    if (sig != 0) {
        kill(pid, sig);

    } else {
        close(channel);
        channel = -1;
    }

    for (i = 0; i < 1000 && waitpid(pid, &status, WNOHANG) != pid; i++) {
        usleep(10000);
    }

    if (i == 1000) {
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        status = 99 << 8;
    }

    for (slot = 0; slot < V2_SHM_PROCS; slot++) {
        if (shm->procs[slot].pid == (uint32_t) pid) {
            v2_shm_proc_clear(shm, (uint32_t) pid);
        }
    }

    if (channel != -1) {
        close(channel);
    }

    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}


static v2_account_t *
account(uint64_t user)
{
    uint32_t       i;
    v2_account_t  *a;

    for (i = 0; i < shm->accounts_n; i++) {
        a = v2_shm_account(shm, i);

        if (a->state != V2_REC_FREE && v2_shm_user(shm, a->user)->id == user) {
            return a;
        }
    }

    return NULL;
}


static void
count(uint64_t user, uint64_t up, uint64_t down)
{
    v2_account_t  *a;

    a = account(user);

    if (a != NULL) {
        atomic_fetch_add(&a->up, up);
        atomic_fetch_add(&a->down, down);
    }
}


static int
wait_live(uint64_t user, unsigned state_wanted)
{
    int            i;
    v2_account_t  *a;

    for (i = 0; i < 400; i++) {
        a = account(user);

        if ((a == NULL ? V2_REC_FREE : a->state) == state_wanted) {
            return 1;
        }

        usleep(10000);
    }

    return 0;
}


static void
test_start(void)
{
    v2_spec_t  spec;

    memset(&spec, 0, sizeof(spec));

    config(20530);
    start(-1);
    usleep(300000);
    is_int(account(1) == NULL, 1, "a config and no users yet");

    put("users-1.json", "{\"users\":[{\"id\":1,\"uuid\":\"" A "\"}]}");
    ok(message(V2_MSG_SPEC, &spec), "a spec, once the users are in");
    is_int(spec.port, 20530, "its port");
    is_int(spec.node, 0, "its slot");
    ok(spec.identity == v2_node_identity(&conf->nodes[0]), "its identity");
    is_int(shm->nodes[0].state, V2_REC_LIVE, "the slot is live");
    ok(account(1) != NULL, "so is the user");
    ok(v2_now_ms() < shm->procs[0].heartbeat + 3000, "the heart beats");
}


static void
test_changes(void)
{
    v2_spec_t  spec;

    memset(&spec, 0, sizeof(spec));

    put("users-1.json", "{\"users\":[{\"id\":1,\"uuid\":\"" A "\"},"
        "{\"id\":2,\"uuid\":\"" B "\",\"speed_limit\":8}]}");
    ok(wait_live(2, V2_REC_LIVE), "a new user");
    is_int(account(2)->rate, 1000000, "and his rate");

    config(20531);
    ok(message(V2_MSG_SPEC, &spec), "a changed config is a new spec");
    is_int(spec.port, 20531, "with the new port");

    put("users-1.json", "{\"users\":[{\"id\":1");
    put("node-1.json", "{\"server_port\"");
    usleep(400000);
    is_int(account(2)->state, V2_REC_LIVE, "half a file changes nothing");

    put("users-1.json", "{\"users\":[{\"id\":1,\"uuid\":\"" A "\"}]}");
    ok(wait_live(2, V2_REC_CLOSING) || account(2) == NULL,
       "a user who left, though the other file is bad");
}


static void
test_end(void)
{
    count(1, 100, 200);
    is_int(ends(SIGTERM), 0, "TERM ends it");
    is_int(lines("push.jsonl", "\n"), 1, "one push");
    is_int(lines("push.jsonl", "\"data\":{\"1\":[100,200]}}"), 1, "of all");
    is_int(v2_bill_owed(shm, 0), 0, "nothing is owed");
}


static void
test_orphan(void)
{
    config(20530);
    start(-1);
    ok(message(V2_MSG_SPEC, NULL), "a new process takes over");
    is_int(shm->nodes[1].state, V2_REC_FREE, "in the same slot");

    count(1, 1, 2);
    is_int(ends(0), 0, "it ends when the master is gone");
    is_int(lines("push.jsonl", "{\"1\":[1,2]}"), 1, "with a push");
}


/* A process died while it was pushing: the file knows what happened. */
static void
test_crash(void)
{
    char   line[256], id[40];

    count(1, 7, 7);
    is_int(v2_bill_prepare(shm, 0, 0, 1), 1, "a batch");
    v2_bill_sending(shm, 0);
    start(-1);
    ok(message(V2_MSG_SPEC, NULL), "a process after a crash");
    is_int(ends(SIGTERM), 0, "ends");
    is_int(lines("push.jsonl", "{\"1\":[7,7]}"), 1,
           "the batch was not in the file: pushed");

    count(1, 8, 8);
    (void) v2_bill_prepare(shm, 0, 0, 1);
    v2_bill_sending(shm, 0);
    snprintf(id, sizeof(id), "%s", v2_bill_batch(shm, 0));
    snprintf(line, sizeof(line), "%s{\"time\":1,\"node\":1,\"id\":\"%s\","
             "\"data\":{\"1\":[8,8]}}\n", get("push.jsonl"), id);
    put("push.jsonl", line);
    start(-1);
    ok(message(V2_MSG_SPEC, NULL), "a process after a crash");
    is_int(ends(SIGTERM), 0, "ends");
    is_int(lines("push.jsonl", "{\"1\":[8,8]}"), 1,
           "the batch was in the file: not pushed again");

    count(1, 9, 9);
    (void) v2_bill_prepare(shm, 0, 0, 1);
    v2_bill_sending(shm, 0);
    snprintf(line, sizeof(line), "{\"time\":1,\"node\":1,\"id\":\"%s\","
             "\"data\":{\"1\":[9,9", v2_bill_batch(shm, 0));
    put("push.jsonl", line);
    start(-1);
    ok(message(V2_MSG_SPEC, NULL), "a process after a crash");
    is_int(ends(SIGTERM), 0, "ends");
    is_int(lines("push.jsonl", "{\"1\":[9,9]}}\n"), 1, "half a line: pushed");
    is_int(lines("push.jsonl", "\"time\""), 1, "and the half is gone");
}


static void
test_full_disk(void)
{
    int   fd;
    char  path[256];

    snprintf(path, sizeof(path), "%s/read-only", dir);
    fd = open(path, O_RDONLY | O_CREAT, 0644);

    start(fd);
    close(fd);
    ok(message(V2_MSG_SPEC, NULL), "a process that cannot append");
    count(1, 5, 6);
    is_int(ends(SIGTERM), 0, "ends");
    is_int(lines("push.jsonl", "[5,6]"), 0, "nothing was pushed");
    is_int(v2_bill_owed(shm, 0), 0, "what it owed");

    snprintf(path, sizeof(path), "grep -q '\"up\":5,\"down\":6,\"data\":"
             "{\"1\":.5,6.}}' %s/aside/*.json", state);
    is_int(system(path), 0, "is set aside");
}


static void
test_reload(void)
{
    int         fd;
    char       *text;
    v2_msg_t    m;
    v2_spec_t   spec;
    v2_conf_t  *next;

    memset(&spec, 0, sizeof(spec));
    put("node-2.json", "{\"node_type\":\"vless\",\"server_port\":20700,"
        "\"base_config\":{\"push_interval\":3600}}");
    put("users-2.json", "{\"users\":[{\"id\":3,\"uuid\":\"" A "\"}]}");

    start(-1);
    ok(message(V2_MSG_SPEC, NULL), "a process with node 1");
    count(1, 30, 40);

    next = conf_of(2);
    text = v2_conf_dump(next, 1);
    fd = memfd_create("conf", MFD_CLOEXEC);
    memset(&m, 0, sizeof(m));
    m.type = V2_MSG_CONF;
    m.fds_n = 1;
    is_int(write(fd, text, strlen(text)), strlen(text), "a new config");
    is_int(v2_channel_send(channel, &m, &fd), V2_OK, "is sent");
    close(fd);

    ok(message(V2_MSG_NODE_DOWN, NULL), "node 1 is closed");
    ok(message(V2_MSG_SPEC, &spec), "node 2 comes up");
    is_int(spec.node_id, 2, "it is that one");
    is_int(spec.node, 1, "in a slot of its own");
    usleep(2500000);
    is_int(lines("push.jsonl", "{\"1\":[30,40]}"), 1,
           "what node 1 owed is pushed without waiting");
    is_int(ends(SIGTERM), 0, "it ends");
    is_int(lines("push.jsonl", "{\"1\":[30,40]}"), 1, "once");

    free(text);
    v2_conf_free(next);
}


int
main(void)
{
    int   fd;
    char  command[160];

    v2_time_update();
    v2_log_init(2, V2_LOG_ALERT, -1);

    snprintf(dir, sizeof(dir), "/tmp/v2sp-panel-XXXXXX");
    if (mkdtemp(dir) == NULL) {
        skip_all("no folder in /tmp");
    }

    snprintf(state, sizeof(state), "%s/state", dir);
    mkdir(state, 0700);

    shm = v2_shm_create(&fd);
    conf = conf_of(1);

    if (shm == NULL || conf == NULL) {
        skip_all("no shared memory");
    }

    test_start();
    test_changes();
    test_end();
    test_orphan();
    test_crash();
    test_full_disk();
    test_reload();

    v2_conf_free(conf);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    (void) !system(command);

    done_testing();
}
