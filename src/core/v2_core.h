/* Result codes, the forward declaration of every struct that crosses a file,
 * and the handful of helpers that all rooms use. */

#ifndef V2_CORE_H
#define V2_CORE_H

typedef int v2_int_t;

#define V2_OK        0      /* done; of a codec: one unit moved, call again */
#define V2_ERROR     (-1)   /* failed, and logged where it was known */
#define V2_AGAIN     1      /* needs more input, or an answer comes later */
#define V2_YIELD     2      /* time budget or buffers used up: call again */
#define V2_DONE      3      /* handshake over, link->req is set */
#define V2_PASS      4      /* this layer leaves the stack this way, here */
#define V2_DIRECT    5      /* PASS, and the secure layer below leaves too */
#define V2_DECLINED  6      /* not mine: fallback, or close as req.refuse */
#define V2_TARGET    7      /* not mine: the side connection takes over */

#define V2_NONE      UINT32_MAX         /* no index */

typedef struct v2_addr_s      v2_addr_t;
typedef struct v2_dest_s      v2_dest_t;
typedef struct v2_logctx_s    v2_logctx_t;
typedef struct v2_timer_s     v2_timer_t;
typedef struct v2_queue_s     v2_queue_t;
typedef struct v2_buf_s       v2_buf_t;
typedef struct v2_slice_s     v2_slice_t;
typedef struct v2_chain_s     v2_chain_t;
typedef struct v2_op_s        v2_op_t;
typedef struct v2_ring_s      v2_ring_t;
typedef struct v2_conn_s      v2_conn_t;
typedef struct v2_link_s      v2_link_t;
typedef struct v2_layer_s     v2_layer_t;
typedef struct v2_codec_s     v2_codec_t;
typedef struct v2_child_s     v2_child_t;
typedef struct v2_sess_s      v2_sess_t;
typedef struct v2_listen_s    v2_listen_t;
typedef struct v2_live_s      v2_live_t;
typedef struct v2_worker_s    v2_worker_t;
typedef struct v2_flat_s      v2_flat_t;
typedef struct v2_spec_s      v2_spec_t;
typedef struct v2_image_s     v2_image_t;
typedef struct v2_inode_s     v2_inode_t;       /* a node in an image */
typedef struct v2_conf_s      v2_conf_t;
typedef struct v2_node_conf_s v2_node_conf_t;
typedef struct v2_shm_s       v2_shm_t;
typedef struct v2_user_s      v2_user_t;
typedef struct v2_account_s   v2_account_t;
typedef struct v2_key_s       v2_key_t;
typedef struct v2_cred_s      v2_cred_t;
typedef struct v2_meter_s     v2_meter_t;
typedef struct v2_router_s    v2_router_t;
typedef struct v2_resolve_s   v2_resolve_t;
typedef struct v2_panel_s     v2_panel_t;
typedef struct v2_tls_ctx_s   v2_tls_ctx_t;

#define v2_nelems(a)        (sizeof(a) / sizeof((a)[0]))
#define v2_min(a, b)        ((a) < (b) ? (a) : (b))
#define v2_max(a, b)        ((a) > (b) ? (a) : (b))
#define v2_containerof(p, type, field) \
    ((type *) (void *) ((char *) (p) - offsetof(type, field)))

/* Our own invariants, never input. Aborts in a debug build; otherwise one
 * alert line and the program goes on. */
#if V2_DEBUG
#define v2_assert(x)        assert(x)
#else
#define v2_assert(x) \
    ((x) ? (void) 0 : v2_assert_failed(#x, __FILE__, __LINE__))
#endif

void v2_assert_failed(const char *what, const char *file, int line);

#endif
