/* Users, groups and capabilities. v2_rights_drop runs in each child after what
 * needs root (ring, files, pinning) is made; a child that cannot drop its
 * rights ends, it never serves with them. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_rights.h"
#include "v2_log.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void v2_rights_parent(const char *path, char *out, size_t size);
static v2_int_t v2_rights_user(v2_rights_t *r, const char *user);
static v2_int_t v2_rights_group(v2_rights_t *r, const char *group);
static int v2_rights_number(const char *text, uint32_t *n);


v2_int_t
v2_rights_find(v2_rights_t *r, const char *user, const char *group)
{
    memset(r, 0, sizeof(v2_rights_t));
    r->uid = geteuid();
    r->gid = getegid();

    if (r->uid != 0) {
        (void) snprintf(r->user, sizeof(r->user), "uid %u",
                        (unsigned) r->uid);
        return V2_OK;
    }

    if (user[0] == '\0') {
        user = getpwnam("v2sp") != NULL ? "v2sp" : "nobody";
    }

    if (v2_rights_user(r, user) != V2_OK) {
        return V2_ERROR;
    }

    if (group[0] != '\0' && v2_rights_group(r, group) != V2_OK) {
        return V2_ERROR;
    }

    r->drop = 1;

    return V2_OK;
}


v2_int_t
v2_rights_drop(const v2_rights_t *r)
{
    struct __user_cap_header_struct  head;
    struct __user_cap_data_struct    data[2];

    if (r->drop) {
        if (setgroups(0, NULL) == -1 || setgid(r->gid) == -1
            || setuid(r->uid) == -1)
        {
            v2_log(V2_LOG_EMERG, NULL, errno, "change to user \"%s\" failed",
                   r->user);
            return V2_ERROR;
        }
    }

    memset(&head, 0, sizeof(head));
    memset(data, 0, sizeof(data));
    head.version = _LINUX_CAPABILITY_VERSION_3;

    if (syscall(SYS_capset, &head, data) == -1) {
        v2_log(V2_LOG_EMERG, NULL, errno, "capset() failed");
        return V2_ERROR;
    }

    (void) prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);

    /* a change of user makes a process dumpable again */

    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1
        || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
    {
        v2_log(V2_LOG_EMERG, NULL, errno, "prctl() failed");
        return V2_ERROR;
    }

    return V2_OK;
}


v2_int_t
v2_rights_folder(const v2_rights_t *r, const char *path, int make)
{
    char         parent[4096];
    struct stat  st;

    if (stat(path, &st) == 0) {
        if (!S_ISDIR(st.st_mode)) {
            v2_log(V2_LOG_EMERG, NULL, ENOTDIR, "StateDir \"%s\"", path);
            return V2_ERROR;
        }

        if (r->drop && st.st_uid != r->uid) {
            v2_log(V2_LOG_EMERG, NULL, 0, "StateDir \"%s\" belongs to uid %u "
                   "and not to user \"%s\": give it to him or set User or "
                   "StateDir", path, (unsigned) st.st_uid, r->user);
            return V2_ERROR;
        }

        if (!r->drop && access(path, W_OK|X_OK) == -1) {
            v2_log(V2_LOG_EMERG, NULL, errno, "StateDir \"%s\" cannot be "
                   "written as %s: give it to this user or set StateDir",
                   path, r->user);
            return V2_ERROR;
        }

        return V2_OK;
    }

    /* its parent may be made, too, but nothing above it */

    v2_rights_parent(path, parent, sizeof(parent));

    if (make && strcmp(parent, "/") != 0) {
        (void) mkdir(parent, 0755);

    } else if (!make) {
        if (access(parent, W_OK|X_OK) == -1 && errno == ENOENT) {
            v2_rights_parent(parent, parent, sizeof(parent));
        }

        if (access(parent, W_OK|X_OK) == -1) {
            v2_log(V2_LOG_EMERG, NULL, errno, "StateDir \"%s\" cannot be "
                   "made in \"%s\"", path, parent);
            return V2_ERROR;
        }

        return V2_OK;
    }

    if (mkdir(path, 0700) == -1
        || (r->drop && chown(path, r->uid, r->gid) == -1))
    {
        v2_log(V2_LOG_EMERG, NULL, errno, "StateDir \"%s\" cannot be made",
               path);
        return V2_ERROR;
    }

    return V2_OK;
}


/* "/a/b" of "/a/b/c", "." of "c". */

static void
v2_rights_parent(const char *path, char *out, size_t size)
{
    size_t  len;

    len = strlen(path);

    while (len > 1 && path[len - 1] == '/') {
        len--;
    }

    while (len > 0 && path[len - 1] != '/') {
        len--;
    }

    while (len > 1 && path[len - 1] == '/') {
        len--;
    }

    if (len == 0) {
        path = ".";
        len = 1;
    }

    len = v2_min(len, size - 1);
    memmove(out, path, len);
    out[len] = '\0';
}


static v2_int_t
v2_rights_user(v2_rights_t *r, const char *user)
{
    uint32_t        n;
    struct passwd  *pw;

    pw = getpwnam(user);

    if (pw == NULL && v2_rights_number(user, &n)) {
        pw = getpwuid(n);
        r->uid = n;
        r->gid = n;

    } else if (pw == NULL) {
        v2_log(V2_LOG_EMERG, NULL, 0, "there is no user \"%s\" (key User)",
               user);
        return V2_ERROR;
    }

    if (pw != NULL) {
        r->uid = pw->pw_uid;
        r->gid = pw->pw_gid;
    }

    (void) snprintf(r->user, sizeof(r->user), "%s", user);

    return V2_OK;
}


static v2_int_t
v2_rights_group(v2_rights_t *r, const char *group)
{
    uint32_t       n;
    struct group  *gr;

    gr = getgrnam(group);

    if (gr != NULL) {
        r->gid = gr->gr_gid;
        return V2_OK;
    }

    if (v2_rights_number(group, &n)) {
        r->gid = n;
        return V2_OK;
    }

    v2_log(V2_LOG_EMERG, NULL, 0, "there is no group \"%s\" (key Group)",
           group);

    return V2_ERROR;
}


static int
v2_rights_number(const char *text, uint32_t *n)
{
    char           *end;
    unsigned long   v;

    if (text[0] < '0' || text[0] > '9') {
        return 0;
    }

    v = strtoul(text, &end, 10);
    *n = (uint32_t) v;

    return *end == '\0' && v < UINT32_MAX;
}
