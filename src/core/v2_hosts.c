/* The hosts file as a table. c-ares 1.18 opens the file at every look-up,
 * which blocks the loop; this is read once and searched in memory. Called by
 * v2_resolve.c only.
 *
 * Invariants
 *  1. One record for each pair of name and address, chained by hash; records
 *     of one chain stand in the order of the file.
 *  2. Indices, not pointers: the arrays grow while the file is read. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_flat.h"
#include "v2_hosts.h"
#include "v2_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>


#define V2_HOSTS_BUCKETS    1024        /* a power of 2 */
#define V2_HOSTS_FILE_MAX   (16u << 20)

typedef struct {
    uint32_t    next;                   /* V2_NONE: the last of its chain */
    uint32_t    name;                   /* offset in names */
    v2_addr_t   addr;
} v2_host_t;

struct v2_hosts_s {
    v2_host_t  *recs;
    uint32_t    n, cap;
    char       *names;
    size_t      names_len, names_cap;
    uint32_t    head[V2_HOSTS_BUCKETS], last[V2_HOSTS_BUCKETS];
};


static v2_int_t v2_hosts_line(v2_hosts_t *h, char *line);
static v2_int_t v2_hosts_put(v2_hosts_t *h, const v2_addr_t *a, char *name);
static v2_int_t v2_hosts_room(v2_hosts_t *h, size_t name);
static uint32_t v2_hosts_bucket(const char *name, size_t len);


v2_hosts_t *
v2_hosts_create(const char *text, size_t len)
{
    char        *copy, *line, *rest;
    size_t       i;
    v2_int_t     rc;
    v2_hosts_t  *h;

    copy = malloc(len + 1);
    h = calloc(1, sizeof(*h));

    if (copy == NULL || h == NULL) {
        free(copy);
        free(h);
        return NULL;
    }

    for (i = 0; i < V2_HOSTS_BUCKETS; i++) {
        h->head[i] = h->last[i] = V2_NONE;
    }

    for (i = 0; i < len; i++) {
        copy[i] = text[i] != '\0' ? text[i] : ' ';
    }

    copy[len] = '\0';
    rest = copy;
    rc = V2_OK;

    while (rc == V2_OK && (line = strsep(&rest, "\n")) != NULL) {
        rc = v2_hosts_line(h, line);
    }

    free(copy);

    if (rc != V2_OK) {
        v2_hosts_destroy(h);
        return NULL;
    }

    return h;
}


v2_hosts_t *
v2_hosts_load(const char *path)
{
    int          fd;
    char        *text;
    size_t       len;
    ssize_t      n;
    v2_hosts_t  *hosts;
    struct stat  st;

    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd == -1) {
        v2_log(errno == ENOENT ? V2_LOG_INFO : V2_LOG_WARN, NULL, errno,
               "open() \"%s\" failed", path);
        return NULL;
    }

    hosts = NULL;
    text = NULL;

    if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)
        || st.st_size > V2_HOSTS_FILE_MAX)
    {
        v2_log(V2_LOG_WARN, NULL, 0, "\"%s\" is not a regular file of at most "
               "16 MiB, its names are not used", path);
        goto done;
    }

    text = malloc((size_t) st.st_size + 1);

    if (text == NULL) {
        v2_log(V2_LOG_ERR, NULL, errno, "no memory for \"%s\"", path);
        goto done;
    }

    len = 0;

    while (len < (size_t) st.st_size) {
        n = read(fd, text + len, (size_t) st.st_size - len);

        if (n <= 0) {
            break;
        }

        len += (size_t) n;
    }

    hosts = v2_hosts_create(text, len);

    if (hosts == NULL) {
        v2_log(V2_LOG_ERR, NULL, errno, "no memory for \"%s\"", path);
    }

done:

    free(text);
    close(fd);

    return hosts;
}


void
v2_hosts_destroy(v2_hosts_t *h)
{
    if (h != NULL) {
        free(h->recs);
        free(h->names);
        free(h);
    }
}


uint32_t
v2_hosts_find(const v2_hosts_t *h, const char *name, v2_addr_t *addrs,
    uint32_t max)
{
    uint32_t  i, n;

    n = 0;
    i = h->head[v2_hosts_bucket(name, strlen(name))];

    for ( /* void */ ; i != V2_NONE && n < max; i = h->recs[i].next) {
        if (strcmp(h->names + h->recs[i].name, name) == 0) {
            addrs[n++] = h->recs[i].addr;
        }
    }

    return n;
}


static v2_int_t
v2_hosts_line(v2_hosts_t *h, char *line)
{
    char       *word, *rest;
    v2_addr_t   a;

    line[strcspn(line, "#")] = '\0';
    rest = line;

    do {
        word = strsep(&rest, " \t\r\f\v");
    } while (word != NULL && *word == '\0');

    memset(&a, 0, sizeof(a));

    if (word == NULL || v2_addr_parse(&a, word) != V2_OK) {
        return V2_OK;
    }

    while ((word = strsep(&rest, " \t\r\f\v")) != NULL) {
        if (*word != '\0' && v2_hosts_put(h, &a, word) != V2_OK) {
            return V2_ERROR;
        }
    }

    return V2_OK;
}


static v2_int_t
v2_hosts_put(v2_hosts_t *h, const v2_addr_t *a, char *name)
{
    size_t      i, len;
    uint32_t    b;
    v2_host_t  *rec;

    len = strlen(name);

    if (name[len - 1] == '.') {
        name[--len] = '\0';
    }

    if (len == 0 || len > V2_NAME_MAX) {
        return V2_OK;
    }

    for (i = 0; i < len; i++) {
        if (name[i] >= 'A' && name[i] <= 'Z') {
            name[i] = (char) (name[i] + ('a' - 'A'));
        }
    }

    if (v2_hosts_room(h, len + 1) != V2_OK) {
        return V2_ERROR;
    }

    rec = &h->recs[h->n];
    rec->next = V2_NONE;
    rec->name = (uint32_t) h->names_len;
    rec->addr = *a;

    memcpy(h->names + h->names_len, name, len + 1);
    h->names_len += len + 1;

    b = v2_hosts_bucket(name, len);

    if (h->last[b] == V2_NONE) {
        h->head[b] = h->n;

    } else {
        h->recs[h->last[b]].next = h->n;
    }

    h->last[b] = h->n++;

    return V2_OK;
}


/* Room for one more record and `name` bytes. */

static v2_int_t
v2_hosts_room(v2_hosts_t *h, size_t name)
{
    void    *p;
    size_t   cap;

    if (h->n == h->cap) {
        cap = h->cap != 0 ? (size_t) h->cap * 2 : 16;
        p = realloc(h->recs, cap * sizeof(*h->recs));

        if (p == NULL) {
            return V2_ERROR;
        }

        h->recs = p;
        h->cap = (uint32_t) cap;
    }

    if (h->names_len + name > h->names_cap) {
        cap = (h->names_cap + name) * 2;
        p = realloc(h->names, cap);

        if (p == NULL) {
            return V2_ERROR;
        }

        h->names = p;
        h->names_cap = cap;
    }

    return V2_OK;
}


static uint32_t
v2_hosts_bucket(const char *name, size_t len)
{
    return (uint32_t) v2_hash64(name, len, 0) & (V2_HOSTS_BUCKETS - 1);
}
