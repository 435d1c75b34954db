/* What a panel's answers mean: a node config becomes a spec, a user list
 * becomes users in shared memory, an alive list counts. Parsed leniently,
 * applied whole or not at all. No I/O. */

#ifndef V2_PANEL_ANSWER_H
#define V2_PANEL_ANSWER_H

#include "v2_conf.h"
#include "v2_spec.h"
#include "v2_users.h"

#define V2_ANSWER_WHY       256
#define V2_CONFIG_MAX       (4u << 20)      /* bytes of an answer */
#define V2_USERS_MAX        (64u << 20)
#define V2_ALIVE_MAX        (16u << 20)
#define V2_PUSHED_MAX       (64u << 10)

typedef struct {
    v2_spec_t    spec;              /* protocol to intervals; rest is zero */
    char         why[V2_ANSWER_WHY];
    char         warn[V2_ANSWER_WHY];   /* works, but; "" = nothing */
} v2_config_answer_t;

/* A node config. V2_OK: spec is whole. V2_DECLINED: understood, but this build
 * cannot serve it, why names what; the intervals and the protocol are set.
 * V2_ERROR: not an answer to config, or wrong values; why. */
v2_int_t  v2_answer_config(const char *body, size_t len,
    const v2_node_conf_t *conf, v2_config_answer_t *a);

typedef struct {
    uint32_t         entries;       /* in the list */
    uint32_t         skipped;
    uint32_t         limited;       /* with a device or connection limit */
    char             first[96];     /* why the first one was skipped */
    char             why[V2_ANSWER_WHY];
    v2_users_stat_t  stat;
} v2_users_answer_t;

/* A user list replaces the users of the slot. V2_OK: committed. V2_ERROR: not
 * a complete list; V2_AGAIN: not possible now; nothing changed; why. */
v2_int_t  v2_answer_users(const char *body, size_t len,
    const v2_spec_t *spec, uint32_t slot, uint32_t panel, v2_users_t *users,
    v2_users_answer_t *a);

typedef struct {
    uint64_t    user;
    uint32_t    count;              /* addresses on all nodes */
} v2_alive_count_t;

typedef struct {
    v2_alive_count_t  *list;        /* heap */
    uint32_t           n;
} v2_alive_map_t;

/* The panel's counts replace the map. V2_ERROR: the old map stays; why. */
v2_int_t  v2_answer_alive(const char *body, size_t len,
    v2_alive_map_t *map, char *why, size_t size);

#endif
