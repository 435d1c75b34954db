/* The builder. Runs as User, ends after one image. A node that cannot be
 * served is left out and named; what concerns all nodes fails the image.
 *
 * Texts of files are in malloc'd memory and freed only where many may come:
 * the process is short. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_builder.h"
#include "v2_image.h"
#include "v2_log.h"
#include "v2_panel.h"
#include "v2_router.h"
#include "v2_tls.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define V2_BUILDER_WHY      (sizeof(((v2_msg_t *) 0)->text))

typedef struct {
    const v2_start_t         *start;
    const v2_builder_job_t   *job;
    v2_flat_t                 flat;
    v2_inode_t                nodes[V2_SHM_NODES];
    uint32_t                  nodes_n;
    char                      why[V2_BUILDER_WHY];
} v2_builder_t;

/* A text of a file; data NULL and len 0: there is none. */
typedef struct {
    char     *data;
    size_t    len;
} v2_builder_text_t;

static v2_int_t v2_builder_image(v2_builder_t *b);
static v2_int_t v2_builder_route(v2_builder_t *b, v2_ref_t *ref);
static v2_int_t v2_builder_one(v2_builder_t *b, const v2_builder_node_t *bn,
    int *fresh);
static v2_int_t v2_builder_node(v2_builder_t *b, const v2_builder_node_t *bn,
    int *fresh);
static void v2_builder_names(v2_builder_t *b, v2_inode_t *in,
    const v2_builder_node_t *bn);
static v2_int_t v2_builder_send_ip(v2_builder_t *b, v2_inode_t *in,
    const v2_node_conf_t *conf);
static v2_int_t v2_builder_cert(v2_builder_t *b, v2_inode_t *in,
    const v2_builder_node_t *bn, int *fresh);
static v2_int_t v2_builder_pair(v2_builder_t *b, const v2_pair_t *pair,
    v2_builder_text_t text[2]);
static v2_int_t v2_builder_self(v2_builder_t *b, const v2_builder_node_t *bn,
    v2_builder_text_t text[2]);
static v2_int_t v2_builder_store(v2_builder_t *b, const char *path,
    const v2_builder_text_t *text);
static v2_int_t v2_builder_read(int fd, v2_builder_text_t *text);
static v2_int_t v2_builder_write(int fd, const void *data, size_t len);
static void v2_builder_say(const v2_builder_t *b, unsigned type,
    uint32_t node, uint32_t arg);


int
v2_builder_run(v2_start_t *st)
{
    static v2_builder_t  b;

    b.start = st;
    b.job = st->arg;
    v2_flat_init(&b.flat);

    if (v2_builder_image(&b) != V2_OK) {
        v2_builder_say(&b, V2_MSG_FAILED, 0, 0);
        v2_flat_done(&b.flat);
        return 1;
    }

    v2_flat_done(&b.flat);
    v2_log_tick();

    return 0;
}


static v2_int_t
v2_builder_image(v2_builder_t *b)
{
    int                fresh;
    v2_ref_t           head, route, nodes;
    uint32_t           i;
    v2_image_t        *im;
    const v2_conf_t   *conf;

    conf = b->start->conf;
    head = v2_flat_add(&b->flat, NULL, sizeof(v2_image_t));

    if (v2_builder_route(b, &route) != V2_OK) {
        return V2_ERROR;
    }

    for (i = 0; i < b->job->nodes_n; i++) {
        fresh = 0;

        if (v2_builder_one(b, &b->job->nodes[i], &fresh) == V2_OK) {
            v2_builder_say(b, V2_MSG_READY, b->job->nodes[i].slot,
                           (uint32_t) fresh);

        } else {
            v2_builder_say(b, V2_MSG_NODE_FAILED, b->job->nodes[i].slot, 0);
        }
    }

    nodes = v2_flat_add(&b->flat, b->nodes, b->nodes_n * sizeof(v2_inode_t));

    if (b->flat.failed) {
        (void) snprintf(b->why, sizeof(b->why), "no memory for the image");
        return V2_ERROR;
    }

    im = v2_flat_at(&b->flat, head);
    im->magic = V2_IMAGE_MAGIC;
    im->version = V2_IMAGE_VERSION;
    im->size = b->flat.len;
    im->serial = b->job->serial;
    im->handshake_ms = conf->handshake_s * 1000;
    im->idle_ms = conf->idle_s * 1000;
    im->uplink_only_ms = conf->uplink_only_s * 1000;
    im->downlink_only_ms = conf->downlink_only_s * 1000;
    im->buffer_bytes = conf->buffer_bytes;
    im->nodes_n = b->nodes_n;
    im->nodes = nodes;
    im->route = route;
    im->checksum = v2_hash64(&im->checksum + 1,
                             b->flat.len
                             - (offsetof(v2_image_t, checksum) + 8), 0);

    if (b->job->image != -1
        && v2_builder_write(b->job->image, b->flat.data, b->flat.len)
           != V2_OK)
    {
        (void) snprintf(b->why, sizeof(b->why), "write() of the image failed "
                        "(%d: %s)", errno, strerror(errno));
        return V2_ERROR;
    }

    return V2_OK;
}


static v2_int_t
v2_builder_route(v2_builder_t *b, v2_ref_t *ref)
{
    v2_builder_text_t  route, outbound, dns;

    if (v2_builder_read(b->job->route, &route) != V2_OK
        || v2_builder_read(b->job->outbound, &outbound) != V2_OK
        || v2_builder_read(b->job->dns, &dns) != V2_OK)
    {
        (void) snprintf(b->why, sizeof(b->why), "a rule file cannot be read");
        return V2_ERROR;
    }

    return v2_router.compile(&b->flat, ref, route.data, route.len,
                             outbound.data, outbound.len, dns.data, dns.len,
                             b->why, sizeof(b->why));
}


/* A node whose spec is not known comes from the check: a folder says what it
 * is, and of others the configuration alone is looked at. */

static v2_int_t
v2_builder_one(v2_builder_t *b, const v2_builder_node_t *bn, int *fresh)
{
    v2_spec_t          spec;
    v2_inode_t         in;
    v2_builder_text_t  text[2];
    v2_builder_node_t  copy;

    if (bn->spec != NULL) {
        return v2_builder_node(b, bn, fresh);
    }

    if (bn->dir != -1) {

        if (v2_panel_check(bn->conf, bn->slot, bn->dir, &spec, b->why,
                           sizeof(b->why)) != V2_OK)
        {
            return V2_ERROR;
        }

        copy = *bn;
        copy.spec = &spec;

        return v2_builder_node(b, &copy, fresh);
    }

    memset(&in, 0, sizeof(v2_inode_t));

    if (v2_builder_send_ip(b, &in, bn->conf) != V2_OK) {
        return V2_ERROR;
    }

    return bn->fresh->cert == -1 ? V2_OK
                                 : v2_builder_pair(b, bn->fresh, text);
}


static v2_int_t
v2_builder_node(v2_builder_t *b, const v2_builder_node_t *bn, int *fresh)
{
    v2_inode_t        *in;
    const v2_spec_t   *spec;

    spec = bn->spec;
    in = &b->nodes[b->nodes_n];

    memset(in, 0, sizeof(v2_inode_t));
    in->node = bn->slot;
    in->node_id = spec->node_id;
    memcpy(in->protocol, spec->protocol, sizeof(in->protocol));
    memcpy(in->network, spec->network, sizeof(in->network));
    memcpy(in->flow, spec->flow, sizeof(in->flow));
    in->security = spec->security;
    in->tcp = spec->tcp != 0;
    in->udp = spec->udp != 0;
    in->reject_unknown_sni = bn->conf->reject_unknown_sni != 0;
    in->sniff = !bn->conf->disable_sniffing;
    in->listen = bn->listen;

    if (v2_codec_find(spec->protocol) == NULL) {
        (void) snprintf(b->why, sizeof(b->why), "protocol \"%s\" is not built "
                        "in", spec->protocol);
        return V2_ERROR;
    }

    if (v2_builder_send_ip(b, in, bn->conf) != V2_OK) {
        return V2_ERROR;
    }

    if (in->security == V2_SEC_TLS && bn->conf->cert_mode == V2_CERT_NONE) {
        in->security = V2_SEC_NONE;         /* TLS ends elsewhere */
    }

    if (in->security == V2_SEC_TLS
        && v2_builder_cert(b, in, bn, fresh) != V2_OK)
    {
        return V2_ERROR;
    }

    v2_builder_names(b, in, bn);
    b->nodes_n++;

    return V2_OK;
}


static void
v2_builder_names(v2_builder_t *b, v2_inode_t *in, const v2_builder_node_t *bn)
{
    char                  tag[512];
    const char           *alpn;
    size_t                len;

    if (bn->conf->name[0] != '\0') {
        (void) snprintf(tag, sizeof(tag), "%s", bn->conf->name);

    } else {
        (void) snprintf(tag, sizeof(tag), "[%.400s]-%s:%u",
                        bn->conf->api_host, bn->spec->protocol,
                        bn->spec->node_id);
    }

    in->tag = v2_flat_str(&b->flat, tag);
    in->server_name = v2_flat_str(&b->flat, bn->spec->server_name);

    if (in->security == V2_SEC_TLS) {

        /* what the reference server offers when nothing is set */

        if (strcmp(in->network, "grpc") == 0) {
            alpn = "\002h2";
            len = 3;

        } else {
            alpn = "\002h2\010http/1.1";
            len = 12;
        }

        in->alpn = v2_flat_add(&b->flat, alpn, len);
    }
}


static v2_int_t
v2_builder_send_ip(v2_builder_t *b, v2_inode_t *in, const v2_node_conf_t *conf)
{
    static const v2_addr_t  any = { .family = 4 };

    if (conf->send_ip[0] == '\0') {
        return V2_OK;
    }

    if (v2_addr_parse(&in->send_ip, conf->send_ip) != V2_OK) {
        (void) snprintf(b->why, sizeof(b->why), "SendIP \"%.100s\" is not an "
                        "address", conf->send_ip);
        return V2_ERROR;
    }

    in->send_ip.port = 0;

    if (v2_addr_same_ip(&in->send_ip, &any)) {
        in->send_ip.family = 0;
    }

    return V2_OK;
}


/* A fresh pair that does not match or parse leaves the old one in use: a
 * renewal is two files, and we may see it between them. */

static v2_int_t
v2_builder_cert(v2_builder_t *b, v2_inode_t *in, const v2_builder_node_t *bn,
    int *fresh)
{
    v2_builder_text_t  text[2];

    if (bn->fresh->cert != -1) {
        *fresh = v2_builder_pair(b, bn->fresh, text) == V2_OK;

        if (!*fresh) {

            if (bn->good->cert == -1) {
                return V2_ERROR;
            }

            v2_log(V2_LOG_WARN, NULL, 0, "node %u keeps its old certificate: "
                   "%s", bn->spec->node_id, b->why);
        }
    }

    if (!*fresh) {

        if (bn->good->cert != -1) {
            if (v2_builder_pair(b, bn->good, text) != V2_OK) {
                return V2_ERROR;
            }

        } else if (v2_builder_self(b, bn, text) != V2_OK) {
            return V2_ERROR;
        }
    }

    in->cert_pem = v2_flat_add(&b->flat, text[0].data, text[0].len);
    in->key_pem = v2_flat_add(&b->flat, text[1].data, text[1].len);

    return V2_OK;
}


static v2_int_t
v2_builder_pair(v2_builder_t *b, const v2_pair_t *pair,
    v2_builder_text_t text[2])
{
    if (v2_builder_read(pair->cert, &text[0]) != V2_OK
        || v2_builder_read(pair->key, &text[1]) != V2_OK)
    {
        (void) snprintf(b->why, sizeof(b->why),
                        "the certificate cannot be read");
        return V2_ERROR;
    }

    return v2_tls_check_pair(text[0].data, text[0].len, text[1].data,
                             text[1].len, b->why, sizeof(b->why));
}


/* The certificate that we made for this node earlier, or a new one. */

static v2_int_t
v2_builder_self(v2_builder_t *b, const v2_builder_node_t *bn,
    v2_builder_text_t text[2])
{
    int          fd, i;
    char         path[2][4096];
    const char  *dir, *name;

    dir = b->start->conf->state_dir;
    name = bn->conf->cert_domain[0] != '\0' ? bn->conf->cert_domain
           : bn->spec->server_name[0] != '\0' ? bn->spec->server_name
           : "localhost";

    for (i = 0; i < 2; i++) {
        (void) snprintf(path[i], sizeof(path[i]), "%s/self-%016" PRIx64 ".%s",
                        dir, v2_hash64(name, strlen(name),
                                       bn->spec->identity),
                        i == 0 ? "crt" : "key");
        fd = open(path[i], O_RDONLY|O_CLOEXEC);
        (void) v2_builder_read(fd, &text[i]);

        if (fd != -1) {
            (void) close(fd);
        }
    }

    if (text[0].len != 0 && text[1].len != 0
        && v2_tls_check_pair(text[0].data, text[0].len, text[1].data,
                             text[1].len, b->why, sizeof(b->why)) == V2_OK)
    {
        return V2_OK;
    }

    if (v2_tls_self_signed(name, &text[0].data, &text[1].data) != V2_OK) {
        (void) snprintf(b->why, sizeof(b->why), "a self-signed certificate "
                        "for \"%.100s\" cannot be made", name);
        return V2_ERROR;
    }

    text[0].len = strlen(text[0].data);
    text[1].len = strlen(text[1].data);

    if (b->job->test) {
        return V2_OK;
    }

    if (v2_builder_store(b, path[1], &text[1]) != V2_OK
        || v2_builder_store(b, path[0], &text[0]) != V2_OK)
    {
        return V2_ERROR;
    }

    v2_log(V2_LOG_NOTICE, NULL, 0, "node %u: made a self-signed certificate "
           "for \"%s\"", bn->spec->node_id, name);

    return V2_OK;
}


static v2_int_t
v2_builder_store(v2_builder_t *b, const char *path,
    const v2_builder_text_t *text)
{
    int   fd, err;
    char  temp[4096 + 8];

    (void) snprintf(temp, sizeof(temp), "%s.new", path);

    fd = open(temp, O_WRONLY|O_CREAT|O_TRUNC|O_NOFOLLOW|O_CLOEXEC, 0600);

    if (fd == -1) {
        err = errno;

    } else if (v2_builder_write(fd, text->data, text->len) != V2_OK
               || fsync(fd) == -1 || rename(temp, path) == -1)
    {
        err = errno;
        (void) close(fd);

    } else {
        (void) close(fd);
        return V2_OK;
    }

    (void) snprintf(b->why, sizeof(b->why), "\"%.140s\" cannot be written "
                    "(%d: %s)", temp, err, strerror(err));

    return V2_ERROR;
}


static v2_int_t
v2_builder_read(int fd, v2_builder_text_t *text)
{
    size_t       done;
    ssize_t      n;
    struct stat  st;

    text->data = NULL;
    text->len = 0;

    if (fd == -1) {
        return V2_OK;
    }

    if (fstat(fd, &st) == -1 || st.st_size > V2_FILE_MAX) {
        return V2_ERROR;
    }

    text->data = malloc((size_t) st.st_size + 1);

    if (text->data == NULL) {
        return V2_ERROR;
    }

    for (done = 0; done < (size_t) st.st_size; done += (size_t) n) {
        n = pread(fd, text->data + done, (size_t) st.st_size - done,
                  (off_t) done);

        if (n <= 0) {
            return V2_ERROR;
        }
    }

    text->data[done] = '\0';
    text->len = done;

    return V2_OK;
}


static v2_int_t
v2_builder_write(int fd, const void *data, size_t len)
{
    size_t   done;
    ssize_t  n;

    for (done = 0; done < len; done += (size_t) n) {
        n = write(fd, (const char *) data + done, len - done);

        if (n == -1 && errno == EINTR) {
            n = 0;
            continue;
        }

        if (n <= 0) {
            return V2_ERROR;
        }
    }

    return V2_OK;
}


static void
v2_builder_say(const v2_builder_t *b, unsigned type, uint32_t node,
    uint32_t arg)
{
    v2_msg_t  m;

    memset(&m, 0, sizeof(v2_msg_t));
    m.type = type;
    m.node = node;
    m.arg = arg;

    if (type != V2_MSG_READY) {
        memcpy(m.text, b->why, sizeof(m.text));
    }

    if (v2_channel_send(b->start->channel, &m, NULL) == V2_AGAIN) {
        v2_log(V2_LOG_ALERT, NULL, 0, "an answer of the builder was lost");
    }
}
