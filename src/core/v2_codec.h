/* The interface between core and codecs. Layers stand between the wire and
 * the application side of a link; each takes one unit a call and may emit
 * toward the wire at any time. A codec sees layers, never fds, rings,
 * sessions, limits or shared memory. Time is link->now_ms, waiting is a
 * layer timer. No malloc per packet.
 *
 * Billing: a codec takes input with v2_chain_take() (or moves slices); the
 * link attaches the payload of what was taken to the last slice emitted by
 * the same call. A codec that emits nothing for what it took leaves the
 * payload for its next output. */

#ifndef V2_CODEC_H
#define V2_CODEC_H

#include "v2_buf.h"
#include "v2_timer.h"

typedef enum { V2_IN, V2_OUT } v2_way_e;        /* V2_IN: wire to app */

typedef enum {
    V2_CHILD_OUTPUT,        /* ch->out has something, or fin */
    V2_CHILD_FAILED,        /* its session ended without fin; ch goes now */
    V2_CHILD_DONE           /* its session is over in order; ch goes now */
} v2_child_ev_e;

/* codec flags */
#define V2_CODEC_PROXY      0x01    /* names a user and a destination */
#define V2_CODEC_SECURE     0x02    /* tls, reality */
#define V2_CODEC_TRANSPORT  0x04    /* ws, grpc ... */
#define V2_CODEC_MUX        0x08
#define V2_CODEC_APP_DGRAM  0x10    /* may hand up datagrams */

/* What a codec's index() makes of a user: the key under which a client's
 * credential is found. */
#define V2_CRED_MAX         32

struct v2_cred_s {
    uint8_t    len;                         /* 0: the user has no key here */
    uint8_t    bytes[V2_CRED_MAX];
};

/* How a refused or undecodable connection ends (link->req.refuse). */
typedef enum {
    V2_REFUSE_CLOSE,        /* orderly close at once, no answer */
    V2_REFUSE_RESET,        /* RST */
    V2_REFUSE_DRAIN         /* read on and close after the handshake time */
} v2_refuse_e;

/* What a handshake yielded; filled by layers, read by the session. */
typedef struct {
    uint32_t          key;              /* of the user, or V2_NONE */
    uint32_t          account, gen;     /* set by v2_layer_user() */
    v2_dest_t         dest;             /* PROXY layers */
    unsigned          mux:1;            /* no dest: children have theirs */
    unsigned          mux_udp:1;        /* children may be UDP only */
    v2_refuse_e       refuse;
    const char       *why;              /* static text for the log line */
    uint16_t          tls_version;      /* of the secure layer: 0x0304 */
    char              sni[V2_NAME_MAX + 1];
    char              alpn[16];
} v2_req_t;

struct v2_codec_s {
    const char   *name;                 /* "vless", "tls" */
    unsigned      flags;
    size_t        state_size;           /* zeroed; life of the layer */

    /* Panel process. Can this build serve that node? V2_OK, or V2_ERROR with
     * one line that names what is not there in why (size bytes). NULL: yes. */
    v2_int_t    (*check)(const v2_spec_t *spec, char *why, size_t size);
    /* Panel process. uuid as the panel wrote it. V2_ERROR: not usable. */
    v2_int_t    (*index)(const v2_spec_t *spec, const char *uuid,
                    v2_cred_t *cred);

    v2_int_t    (*open)(v2_layer_t *ly);        /* may emit */
    /* ONE unit: record, frame, header, datagram. Takes from wire, adds to
     * app. OK, AGAIN, YIELD, DONE, PASS, DIRECT, DECLINED, ERROR. DONE may be
     * returned once by the PROXY layer; it is called again for the rest. */
    v2_int_t    (*in)(v2_layer_t *ly, v2_chain_t *wire, v2_chain_t *app);
    /* ONE unit: takes from app, adds to wire. OK, AGAIN, YIELD, PASS, ERROR. */
    v2_int_t    (*out)(v2_layer_t *ly, v2_chain_t *app, v2_chain_t *wire);
    /* The app side ended (V2_OUT): last bytes to the wire (close_notify, a
     * response header that nothing carried). NULL: nothing. */
    v2_int_t    (*end)(v2_layer_t *ly, v2_chain_t *wire);
    /* The layer timer fired. What the side connection does shows in another
     * call of in(), also without new input. */
    v2_int_t    (*wake)(v2_layer_t *ly);
    void        (*close)(v2_layer_t *ly);       /* once; releases contexts */

    /* MUX layers: bytes for the application are fed to children; out() is
     * called with an empty app chain while there is room, and pulls from
     * them. */
    size_t        child_size;                   /* ch->state, zeroed */
    void        (*child)(v2_layer_t *ly, v2_child_t *ch, v2_child_ev_e ev);
};

#define V2_CHILD_ID         8       /* bytes of XUDP's Global ID */

/* A sub-connection of a MUX layer: a session of its own for the layer's user,
 * whose client side is this. */
struct v2_child_s {
    v2_layer_t         *layer;      /* NULL: the layer is gone */
    void               *state;
    v2_chain_t         *out;        /* from the remote: taken by the codec;
                                     * fin: it ended */
    void               *owner;      /* core's */
    v2_child_t         *next;       /* core's list of those with output */
    uint8_t             id[V2_CHILD_ID];
    unsigned            has_id:1;
    unsigned            listed:1;
    unsigned            gone:1;     /* v2_child_close was called */
};

/* A side connection of a layer: to REALITY's target. */
typedef struct {
    v2_int_t            rc;         /* AGAIN dialling, OK there, ERROR failed */
    int                 err;        /* errno of ERROR */
    v2_chain_t          in;         /* what it sent; taken by the layer */
    unsigned            eof:1;
} v2_side_t;

struct v2_layer_s {
    const v2_codec_t   *codec;
    void               *state;
    v2_link_t          *link;
    v2_chain_t          wire;       /* input from the wire not taken yet */
    v2_chain_t          app;        /* output from the app not taken yet */
    v2_side_t          *side;       /* NULL: none asked for */
    size_t              owed;       /* payload taken by out, not yet emitted */
    v2_timer_t          timer;
    unsigned            in_gone:1;  /* PASS was returned this way */
    unsigned            out_gone:1;
    unsigned            out_last:1; /* leaves when its app chain is empty */
    unsigned            ready:1;    /* transports, secure: handshake over */
};

/* The part of a link that a layer may see. The whole is in v2_link.h. */
typedef struct {
    uint64_t            now_ms;
    uint32_t            slot;       /* the node's, in shm */
    v2_req_t            req;
    v2_addr_t           peer;
    const v2_inode_t   *node;       /* the node's part of the image */
    const v2_image_t   *image;
    const void         *tls;        /* v2_tls_ctx_t of the node, for v2_tls.c */
    const v2_logctx_t  *log;
} v2_link_view_t;

v2_link_view_t  *v2_layer_view(v2_layer_t *ly);

/* Own bytes to the wire: alert, handshake flight, pong. Takes the slices. */
void        v2_layer_emit(v2_layer_t *ly, v2_chain_t *wire);
/* One timer a layer; 0 disarms; then codec->wake. */
void        v2_layer_timer(v2_layer_t *ly, uint64_t at_ms);
/* From the worker's rings; NULL: return V2_YIELD. */
v2_buf_t   *v2_layer_buf(v2_layer_t *ly, size_t size);
/* The user of this credential on this node: sets req.key, account and gen.
 * V2_OK, or V2_DECLINED when nobody has it. */
v2_int_t    v2_layer_user(v2_layer_t *ly, const uint8_t *cred, unsigned len);

/* Dials a side connection for this layer (one at most): sets ly->side; in()
 * is called again when it is there, sent something, ended or failed. What is
 * sent to it before it is there waits. xver 1 or 2: a PROXY header goes first.
 * V2_TARGET makes it the remote of the session: what is left in side->in goes
 * to the client, and all layers leave. V2_ERROR: no memory, not a target. */
v2_int_t    v2_layer_side(v2_layer_t *ly, const v2_dest_t *target,
    unsigned xver);
void        v2_side_send(v2_layer_t *ly, v2_chain_t *c);
void        v2_side_close(v2_layer_t *ly);          /* ly->side is NULL then */

/* What a PROXY layer puts above itself when a request asks for a mux, before
 * it returns DONE (req.mux is set): a layer more. V2_ERROR: not built, or no
 * memory. */
v2_int_t    v2_layer_push(v2_layer_t *ly, const char *codec);

/* Children. Nothing here calls back before it has returned. NULL: the cap is
 * reached, or no memory. dest is copied; datagram slices keep their `end` and
 * may have an address each. id: NULL, or of a UDP association whose outward
 * port must stay when the client comes back with it. */
v2_child_t *v2_child_open(v2_layer_t *ly, const v2_dest_t *dest,
    const uint8_t *id);
void        v2_child_feed(v2_child_t *ch, v2_chain_t *app);
void        v2_child_fin(v2_child_t *ch);           /* half close */
/* The remote ends at once; ch is not to be used any more. */
void        v2_child_close(v2_child_t *ch);

/* The registered codecs (objs/v2_codecs.c, made from auto/codecs). */
extern const v2_codec_t *const v2_codecs[];             /* NULL at the end */
const v2_codec_t  *v2_codec_find(const char *name);     /* NULL: not built */

#endif
