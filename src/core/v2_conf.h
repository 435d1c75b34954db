/* config.json: one table of keys (v2_conf_keys.c) from which come the parser,
 * defaults, range errors, aliases, `-T`, v2sp.conf(5), the commented example
 * and a test that none of them lacks a key. JSON with comments and trailing
 * commas, keys without regard to case, ApiConfig/Options nesting, Include.
 * Only v2_conf*.c know jansson in core. */

#ifndef V2_CONF_H
#define V2_CONF_H

#include "v2_addr.h"

enum { V2_CERT_NONE, V2_CERT_FILE, V2_CERT_SELF, V2_CERT_HTTP, V2_CERT_DNS };
enum { V2_UNKNOWN_ASIDE, V2_UNKNOWN_RESEND };
enum { V2_SERVERERR_OWED, V2_SERVERERR_ASIDE };
enum { V2_DAEMON_ON, V2_DAEMON_OFF };

/* Where a value came from, by row of the table (v2_conf_keys.h). */
typedef struct v2_conf_mark_s  v2_conf_mark_t;

struct v2_node_conf_s {
    char       *name;               /* node tag or "" */
    char       *tag;                /* effective: name, or [ApiHost]-TYPE:ID
                                     * with TYPE "" until the panel tells */
    char       *panel_type;         /* "auto", "v2sp", "uniproxy", "file" */
    char       *api_host, *api_key, *api_send_ip;
    uint32_t    node_id;
    char       *node_type;          /* lower case; v2ray is vmess; "" = ask */
    uint32_t    timeout_s;
    char       *listen_ip;          /* "0.0.0.0", "::" */
    char       *send_ip;            /* "" or "0.0.0.0": any */
    uint32_t    device_online_min_kb;       /* x 1000 */
    uint32_t    report_min_kb;              /* x 1024 */
    uint32_t    cert_mode;          /* V2_CERT_... */
    char       *cert_domain, *cert_file, *key_file;    /* {domain} {email}
                                                        * replaced already */
    uint8_t     reject_unknown_sni;
    uint8_t     disable_sniffing;
    char       *refused;            /* why this node must not start: names the
                                     * key and value not built yet, and was
                                     * logged by the load; or NULL */
    v2_conf_mark_t  *marks;         /* for the dump */
};

struct v2_conf_s {
    char       *file;               /* as given */
    /* process */
    unsigned    log_level;
    char       *log_output;         /* "" = stderr */
    char       *access_path;        /* "none", "" = stdout, or a file */
    char       *user, *group;       /* "": the first of v2sp and nobody that
                                     * exists; its own group */
    uint32_t    workers;            /* 0: CPUs of the affinity mask */
    char       *worker_affinity;    /* "off" or "auto" */
    uint32_t    engine;             /* V2_ENGINE_... */
    uint32_t    daemon;             /* V2_DAEMON_... */
    char       *pid_file, *state_dir;
    uint32_t    shutdown_timeout_s; /* 0: none */
    uint64_t    worker_memory;      /* bytes */
    uint32_t    push_unknown, push_server_error;
    /* core */
    char       *asset_path, *dns_path, *route_path, *outbound_path;
    uint32_t    handshake_s, idle_s, uplink_only_s, downlink_only_s;
    uint32_t    buffer_bytes;
    /* nodes, also refused ones; which slot of shm is a node's is told by its
     * identity (v2_panel.h), not by its place here */
    v2_node_conf_t  *nodes;
    uint32_t         nodes_n;
    v2_conf_mark_t  *marks;         /* for the dump */
};

/* Parses `file` with its includes; `overrides` is the text of -g
 * ("Key=value; Key=value"), or NULL. Faults are logged one line each: file,
 * line when known, key path, value, what is allowed, nearest known key.
 * NULL: must not start. */
v2_conf_t  *v2_conf_load(const char *file, const char *overrides);
/* The same from memory; `name` is for messages. Used for the dump that the
 * master passes to its children, by tests and by the fuzz target. Includes
 * are read only when `includes` is set. */
v2_conf_t  *v2_conf_parse(const char *text, size_t len, const char *name,
    const char *overrides, int includes);
void        v2_conf_free(v2_conf_t *conf);

/* The effective values as text that parses again to the same. secrets 0: masked
 * and with a comment of each value's origin (-T); 1: whole, for the children.
 * Heap text, or NULL. */
char       *v2_conf_dump(const v2_conf_t *conf, int secrets);

/* Documentation made from the table: the body of v2sp.conf(5) as mdoc, and the
 * commented example. For `v2sp --doc-man` / `--doc-example` at build. */
void        v2_conf_print_man(FILE *f);
void        v2_conf_print_example(FILE *f);

/* Do two configurations need other processes (Workers, User, Group, Engine,
 * WorkerAffinity)? */
int         v2_conf_needs_workers(const v2_conf_t *a, const v2_conf_t *b);

#endif
