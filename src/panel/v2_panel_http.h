/* HTTP of the panel process: requests on one curl multi handle. GETs of one
 * panel host go one after another over one kept connection; each POST has a
 * connection of its own that is closed after it, because libcurl sends a POST
 * twice when a kept connection turns out to be dead. */

#ifndef V2_PANEL_HTTP_H
#define V2_PANEL_HTTP_H

typedef struct v2_http_s  v2_http_t;

/* What came of a request. Lives until the callback returns. */
typedef struct {
    unsigned     status;            /* 0: no status line came */
    unsigned     failed:1;          /* it broke off; error says why */
    unsigned     sent:1;            /* all of the request's body was out */
    unsigned     same:1;            /* 304, or an untouched file */
    unsigned     late:1;            /* failed by time-out */
    unsigned     tls:1;             /* failed in the TLS handshake */
    char         error[192];        /* secret masked */
    char         etag[256];         /* "" = none, or too long to keep */
    char        *body;              /* zero-terminated; never NULL */
    size_t       len;
} v2_answer_t;

typedef void (*v2_answer_pt)(void *owner, v2_answer_t *a);

typedef struct {
    const char     *url;
    const char     *secret;         /* masked in error */
    const char     *etag;           /* GET: If-None-Match, NULL or "": none */
    const char     *send_ip;        /* local address, NULL or "": any */
    unsigned        timeout_s;
    size_t          limit;          /* most bytes of an answer */
    /* POST when set; copied */
    const char     *body;
    size_t          len;
    const char     *batch;          /* X-Batch-Id, or NULL */
    v2_answer_pt    done;           /* exactly once, unless cancelled; never
                                     * from within v2_http_send */
    void           *owner;
} v2_http_req_t;

struct curl_waitfd;

v2_http_t  *v2_http_open(void);                 /* NULL: logged */
void        v2_http_close(v2_http_t *h);        /* cancels what is open */
v2_int_t    v2_http_send(v2_http_t *h, const v2_http_req_t *req);
/* Ends requests without a call: all of this owner, or with owner NULL every
 * GET. */
void        v2_http_cancel(v2_http_t *h, const void *owner);
/* Ends all that is open: failed, with `sent` as far as it is known. */
void        v2_http_expire(v2_http_t *h);
/* Waits for traffic, the descriptors in fds, or timeout_ms; runs what is ready
 * and calls done. */
void        v2_http_wait(v2_http_t *h, struct curl_waitfd *fds, unsigned n,
    int timeout_ms);
unsigned    v2_http_open_n(const v2_http_t *h, int posts);

#endif
