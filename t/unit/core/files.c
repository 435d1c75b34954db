/* Files of the master: copies that cannot change, files that are none, pairs
 * of certificates half renewed, and folders of local panels. */
/* needs: src/core/v2_log.c src/core/v2_core.c */

#include "../../../src/core/v2_files.c"

#include "../tap.h"

#include <dirent.h>
#include <sys/time.h>

static char  dir[] = "/tmp/v2sp-files-XXXXXX";


static int
open_fds(void)
{
    int   n;
    DIR  *d;

    d = opendir("/proc/self/fd");

    for (n = 0; d != NULL && readdir(d) != NULL; n++) {
        /* void */
    }

    (void) closedir(d);

    return n;
}


static const char *
in(const char *name)
{
    static int   turn;
    static char  text[4][256];

    turn = (turn + 1) % 4;
    snprintf(text[turn], sizeof(text[turn]), "%s/%s", dir, name);

    return text[turn];
}


static void
put(const char *name, const char *text)
{
    int  fd;

    fd = open(in(name), O_WRONLY|O_CREAT|O_TRUNC, 0600);

    if (fd == -1 || write(fd, text, strlen(text)) != (ssize_t) strlen(text)) {
        exit(2);
    }

    (void) close(fd);
}


static const char *
get(int fd)
{
    ssize_t      n;
    static char  text[256];

    n = pread(fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';

    return text;
}


static void
test_load(void)
{
    int           fd, before;
    v2_file_id_t  id, none;

    before = open_fds();
    memset(&none, 0, sizeof(none));

    put("a", "some text");
    fd = v2_file_load(in("a"), &id);
    ok(fd != -1, "a file");
    is_str(get(fd), "some text", "its text");
    is_int(id.size, 9, "its size");
    ok(write(fd, "x", 1) == -1 && ftruncate(fd, 0) == -1
       && ftruncate(fd, 100) == -1, "the copy cannot change");
    ok((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0, "and is not inherited");
    (void) close(fd);

    is_int(v2_file_changed(in("a"), &id), 0, "the same file");
    put("b", "other one");
    (void) rename(in("b"), in("a"));
    is_int(v2_file_changed(in("a"), &id), 1, "replaced by one of its size");
    (void) unlink(in("a"));
    is_int(v2_file_changed(in("a"), &id), 1, "removed");

    put("empty", "");
    fd = v2_file_load(in("empty"), &id);
    ok(fd != -1, "an empty file");
    (void) close(fd);

    is_int(v2_file_load(in("none"), &id), -1, "no file");
    is_int(errno, ENOENT, "says so");
    is_mem(&id, &none, sizeof(id), "as its id does");
    is_int(v2_file_changed(in("none"), &id), 0, "still none");
    is_int(v2_file_load(dir, &id), -1, "a folder");
    is_int(errno, EISDIR, "says so");
    (void) mkfifo(in("fifo"), 0600);
    is_int(v2_file_load(in("fifo"), &id), -1, "a pipe that nobody writes");
    is_int(errno, EINVAL, "says so, and does not wait");
    put("big", "");
    (void) !truncate(in("big"), V2_FILE_MAX + 1);
    is_int(v2_file_load(in("big"), &id), -1, "a file too large");
    is_int(errno, EFBIG, "says so");
    is_int(open_fds(), before, "nothing is left open");
}


static void
test_text(void)
{
    int   fd;
    char  *long_text;

    fd = v2_file_text("test", "words", 5);
    is_str(get(fd), "words", "a text");
    is_int(write(fd, "x", 1), -1, "sealed");
    (void) close(fd);

    long_text = malloc(1 << 20);
    memset(long_text, 'x', 1 << 20);
    fd = v2_file_text("test", long_text, 1 << 20);
    is_int(lseek(fd, 0, SEEK_END), 1 << 20, "a long one");
    (void) close(fd);
    free(long_text);
}


/* After a failure the ids are those of the files as they are, so that the
 * same files are not looked at again and again. */
static void
pair_fails(v2_node_conf_t *node, const char *what, const char *message)
{
    int        before;
    char       why[200];
    v2_pair_t  p;

    before = open_fds();
    is_int(v2_pair_load(&p, node, why, sizeof(why)), V2_ERROR, "%s", what);
    ok(strstr(why, message) != NULL, "... is told: %s", why);
    ok(p.cert == -1 && p.key == -1, "... nothing is open");
    is_int(open_fds(), before, "... nor left open");
    ok(!v2_file_changed(node->cert_file, &p.cert_id)
       && !v2_file_changed(node->key_file, &p.key_id),
       "... nothing has changed since");
    put("crt.new", "another");
    (void) rename(in("crt.new"), in("crt"));
    ok(v2_file_changed(in("crt"), &p.cert_id), "... until something does");
    v2_pair_close(&p);
}


static void
test_pair(void)
{
    char             why[200];
    char             crt[256], key[256];
    v2_pair_t        p;
    v2_node_conf_t   node;

    memset(&node, 0, sizeof(node));
    snprintf(crt, sizeof(crt), "%s/crt", dir);
    snprintf(key, sizeof(key), "%s/key", dir);
    node.cert_file = crt;
    node.key_file = key;

    pair_fails(&node, "no certificate, no key", "CertFile");
    pair_fails(&node, "no key", "KeyFile");
    (void) unlink(crt);
    put("key", "the key");
    pair_fails(&node, "no certificate", "CertFile");
    (void) unlink(crt);
    (void) mkdir(crt, 0700);
    is_int(v2_pair_load(&p, &node, why, sizeof(why)), V2_ERROR, "a folder");
    is_int(v2_file_changed(crt, &p.cert_id), 0, "... is the same folder");
    (void) rmdir(crt);

    put("crt", "the certificate");
    is_int(v2_pair_load(&p, &node, why, sizeof(why)), V2_OK, "both");
    is_str(get(p.cert), "the certificate", "the certificate");
    is_str(get(p.key), "the key", "the key");
    v2_pair_close(&p);
    v2_pair_close(&p);
    ok(p.cert == -1 && p.key == -1, "closed, and once more");
}


static void
test_log(void)
{
    int          fd;
    struct stat  st;
    v2_rights_t  r;

    memset(&r, 0, sizeof(r));

    fd = v2_file_log(&r, in("log"));
    ok(fd != -1, "a log is made");
    (void) fstat(fd, &st);
    is_int(st.st_mode & 0777 & ~0640u, 0, "not for all to read");
    (void) !write(fd, "one\n", 4);
    (void) close(fd);
    fd = v2_file_log(&r, in("log"));
    (void) !write(fd, "two\n", 4);
    (void) close(fd);
    fd = open(in("log"), O_RDONLY);
    is_str(get(fd), "one\ntwo\n", "and appended to");
    (void) close(fd);
    is_int(v2_file_log(&r, in("none/log")), -1, "where no folder is");

    if (geteuid() == 0) {
        r.drop = 1;
        r.gid = 12345;
        fd = v2_file_log(&r, in("log2"));
        (void) fstat(fd, &st);
        is_int(st.st_gid, 12345, "with the group of the user");
        is_int(st.st_uid, 0, "who does not own it");
        (void) close(fd);
    }
}


static void
test_panel(void)
{
    int   fds[3], before, i;
    char  why[200], panel[256];

    before = open_fds();
    snprintf(panel, sizeof(panel), "%s/panel", dir);

    is_int(v2_file_panel(panel, fds, why, sizeof(why)), V2_ERROR,
           "no folder");
    ok(strstr(why, "cannot be opened (2:") != NULL, "is told: %s", why);
    (void) mkdir(panel, 0700);
    is_int(v2_file_panel(panel, fds, why, sizeof(why)), V2_OK, "a folder");
    (void) !write(fds[1], "line\n", 5);

    for (i = 0; i < 3; i++) {
        (void) close(fds[i]);
    }

    is_int(v2_file_panel(panel, fds, why, sizeof(why)), V2_OK, "once more");
    (void) !write(fds[1], "line\n", 5);
    is_int(lseek(fds[1], 0, SEEK_END), 10, "reports are appended");

    for (i = 0; i < 3; i++) {
        (void) close(fds[i]);
    }

    (void) unlink(in("panel/alive.jsonl"));
    (void) !symlink(in("victim"), in("panel/alive.jsonl"));
    is_int(v2_file_panel(panel, fds, why, sizeof(why)), V2_ERROR,
           "a link is not followed");
    ok(strstr(why, "alive.jsonl") != NULL, "is told: %s", why);
    ok(fds[0] == -1 && fds[1] == -1 && fds[2] == -1, "nothing is open");
    is_int(access(in("victim"), F_OK), -1, "nothing was made");
    is_int(open_fds(), before, "nothing is left open");
}


int
main(void)
{
    char  command[64];

    v2_log_init(-1, V2_LOG_EMERG, -1);

    if (mkdtemp(dir) == NULL) {
        exit(2);
    }

    test_load();
    test_text();
    test_pair();
    test_log();
    test_panel();

    snprintf(command, sizeof(command), "rm -rf %s", dir);
    (void) !system(command);

    return done_testing();
}
