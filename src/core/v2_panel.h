/* The panel process as the master sees it: what it is given at fork, what it
 * says on the channel, and how both name a node.
 *
 * Messages of the panel process. `node` is always the SLOT in shm->nodes; a
 * node keeps its slot over reloads, whatever its place in conf->nodes.
 *   V2_MSG_SPEC       fd: the spec. Its first user list is in shared memory.
 *                     spec->identity names the conf node (v2_node_identity);
 *                     spec->conf_index is where it stood in the panel
 *                     process's conf: a hint, identity decides.
 *   V2_MSG_NODE_DOWN  the node left the config, or its config is refused.
 * Messages to the panel process.
 *   V2_MSG_CONF       arg V2_PANEL_CONF_DIR: before the dump, one for each
 *                     `file:` node of the new config: node is its index in
 *                     the NEW conf->nodes; fds: folder, push, alive.
 *                     arg 0: fd of the dump (text of v2_conf_dump(conf, 1)).
 *   V2_MSG_NODE_FAILED   node (slot), text; the spec is sent again at the next
 *                     poll.
 *   V2_MSG_NODE_OPEN  node (slot).
 *   V2_MSG_LOG        fds: log: written to from now on.
 *
 * TERM and QUIT: the master ends the workers first; the panel process then
 * ends its open requests (<= 5 s), pushes all owed and exits 0. When the
 * channel closes, it waits until no worker is alive (<= 30 s) and does the
 * same. Exit 2: cannot work, do not respawn. */

#ifndef V2_PANEL_H
#define V2_PANEL_H

#include "v2_conf.h"
#include "v2_shm.h"

/* The panel APIs that are built in (auto/panels), NULL at the end, in the
 * order in which they are tried when PanelType is "auto". */
extern const v2_panel_t *const  v2_panels[];

#define V2_PANEL_CONF_DIR   1       /* arg of V2_MSG_CONF */

typedef struct {
    v2_shm_t         *shm;
    v2_shm_proc_t    *proc;         /* own slot; heartbeat is written here */
    int               channel;      /* SOCK_SEQPACKET to the master */
    const v2_conf_t  *conf;         /* stays the caller's */
    const char       *state_dir;    /* writable for User */
    /* conf->nodes_n each, or NULL; -1 where none. For `file:` nodes: the
     * folder (O_RDONLY | O_DIRECTORY) and its report files (O_APPEND),
     * opened with the master's rights. They belong to the panel process. */
    const int        *dir_fds, *push_fds, *alive_fds;
} v2_panel_env_t;

/* Runs the panel process after fork, drop of rights and lock; the log is
 * open. Returns the exit code. */
int       v2_panel_main(const v2_panel_env_t *env);

/* Names a node for ever: hash of ApiHost without its query, ApiKey and NodeID;
 * never 0. v2_panel_identity leaves NodeID out: users of one panel are the
 * same users; never 0. Neither needs curl. */
uint64_t  v2_node_identity(const v2_node_conf_t *node);
uint32_t  v2_panel_identity(const v2_node_conf_t *node);

/* For -t: reads node-ID.json and users-ID.json of a `file:` node in the folder
 * `dir` as the panel process would, with the rights of the caller. slot: 0 and
 * up, another one for each node. V2_ERROR: one line in why; what works but is
 * odd is logged. */
v2_int_t  v2_panel_check(const v2_node_conf_t *node, uint32_t slot, int dir,
    v2_spec_t *spec, char *why, size_t size);

/* "DIR" of an ApiHost "file:DIR" ("file:///DIR" too), or NULL. */
const char  *v2_node_dir(const v2_node_conf_t *node);

#endif
