/* The program: its options, and the way to the master.
 *
 *   v2sp [-t | -T | -v | -V] [-c FILE] [-p PREFIX] [-g TEXT] [-s SIGNAL]
 *   v2sp run | server [-c FILE] ...     in the foreground
 *   v2sp version */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_master.h"
#include "v2_log.h"
#include "v2_pidfile.h"
#include "v2_signal.h"
#include "v2_time.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

typedef struct {
    const char   *file, *prefix, *overrides, *signal;
    unsigned      run:1;            /* in the foreground */
    unsigned      test:1;           /* -t */
    unsigned      dump:1;           /* -T */
    unsigned      version:1;        /* -v */
    unsigned      build:1;          /* -V */
    unsigned      help:1;
} v2_options_t;

static v2_int_t v2_main_options(v2_options_t *o, int argc, char **argv);
static const char *v2_main_word(v2_options_t *o, int argc, char **argv);
static void v2_main_usage(FILE *f);
static void v2_main_build(void);
static int v2_main_test(const v2_options_t *o, v2_conf_t *conf);
static int v2_main_start(const v2_options_t *o, v2_conf_t *conf);
static v2_int_t v2_main_log(const v2_conf_t *conf);
static void v2_main_limits(void);
static v2_int_t v2_main_daemon(void);


int
main(int argc, char **argv)
{
    v2_conf_t     *conf;
    v2_options_t   o;

    v2_time_update();
    v2_log_init(STDERR_FILENO, V2_LOG_INFO, -1);

    if (argc == 2 && strcmp(argv[1], "--doc-man") == 0) {
        v2_conf_print_man(stdout);
        return 0;
    }

    if (argc == 2 && strcmp(argv[1], "--doc-example") == 0) {
        v2_conf_print_example(stdout);
        return 0;
    }

    if (v2_main_options(&o, argc, argv) != V2_OK) {
        v2_main_usage(stderr);
        return 1;
    }

    if (o.help) {
        v2_main_usage(stdout);
        return 0;
    }

    if (o.version || o.build) {
        (void) fprintf(stderr, "v2sp version: v2sp/%s\n", V2_VERSION);

        if (o.build) {
            v2_main_build();
        }

        return 0;
    }

    if (o.prefix != NULL && chdir(o.prefix) == -1) {
        v2_log(V2_LOG_EMERG, NULL, errno, "chdir() \"%s\" failed", o.prefix);
        return 1;
    }

    conf = v2_conf_load(o.file, o.overrides);

    if (conf == NULL) {
        if (o.test) {
            (void) fprintf(stderr, "v2sp: the configuration file %s test "
                           "failed\n", o.file);
        }

        return 1;
    }

    if (o.signal != NULL) {
        return v2_signal_send(o.signal, conf->pid_file);
    }

    return o.test || o.dump ? v2_main_test(&o, conf)
                            : v2_main_start(&o, conf);
}


static v2_int_t
v2_main_options(v2_options_t *o, int argc, char **argv)
{
    int          c;
    const char  *bad;

    memset(o, 0, sizeof(v2_options_t));
    o->file = V2_CONF_PATH;

    bad = v2_main_word(o, argc, argv);

    if (bad != NULL) {
        (void) fprintf(stderr, "v2sp: unknown command \"%s\"\n", bad);
        return V2_ERROR;
    }

    while ((c = getopt(argc, argv, "c:p:g:s:tTvVh?")) != -1) {
        switch (c) {
        case 'c': o->file = optarg; break;
        case 'p': o->prefix = optarg; break;
        case 'g': o->overrides = optarg; break;
        case 's': o->signal = optarg; break;
        case 't': o->test = 1; break;
        case 'T': o->dump = 1; break;
        case 'v': o->version = 1; break;
        case 'V': o->build = 1; break;
        case 'h': o->help = 1; break;
        default: return V2_ERROR;
        }
    }

    if (optind < argc) {
        (void) fprintf(stderr, "v2sp: unexpected \"%s\"\n", argv[optind]);
        return V2_ERROR;
    }

    return V2_OK;
}


/* The command before the options, if there is one. */

static const char *
v2_main_word(v2_options_t *o, int argc, char **argv)
{
    const char  *word;

    if (argc < 2 || argv[1][0] == '-') {
        return NULL;
    }

    word = argv[1];
    optind = 2;

    if (strcmp(word, "run") == 0 || strcmp(word, "server") == 0) {
        o->run = 1;

    } else if (strcmp(word, "version") == 0) {
        o->version = 1;

    } else if (strcmp(word, "help") == 0) {
        o->help = 1;

    } else {
        return word;
    }

    return NULL;
}


static void
v2_main_usage(FILE *f)
{
    const v2_signal_t  *s;

    (void) fprintf(f,
        "usage: v2sp [-c FILE] [-p FOLDER] [-g 'Key=value; ...'] [-tTvV] "
        "[-s SIGNAL]\n"
        "       v2sp run [-c FILE] ...\n\n"
        "  run       stay in the foreground (also: server)\n"
        "  -c FILE   configuration (default: %s)\n"
        "  -p FOLDER relative paths start there\n"
        "  -g TEXT   top-level keys that come before the file's\n"
        "  -t        test the configuration and end\n"
        "  -T        the same, and print the effective values\n"
        "  -v, -V    print the version, how it was built\n"
        "  -s SIGNAL tell a running v2sp:\n", V2_CONF_PATH);

    for (s = v2_signals; s->signo != 0; s++) {
        if (s->word != NULL) {
            (void) fprintf(f, "            %-8s%s\n", s->word, s->text);
        }
    }
}


static void
v2_main_build(void)
{
    (void) fprintf(stderr, "built with %s\n%s, jansson %s, %s\n"
                   "configure arguments: %s\n", __VERSION__,
                   OpenSSL_version(OPENSSL_VERSION), jansson_version_str(),
                   curl_version(), V2_CONFIGURE);
}


static int
v2_main_test(const v2_options_t *o, v2_conf_t *conf)
{
    char  *text;

    if (v2_master_check(conf, 1) != V2_OK) {
        (void) fprintf(stderr, "v2sp: the configuration file %s test "
                       "failed\n", conf->file);
        return 1;
    }

    (void) fprintf(stderr, "v2sp: the configuration file %s test is "
                   "successful\n", conf->file);

    if (!o->dump) {
        return 0;
    }

    text = v2_conf_dump(conf, 0);

    if (text == NULL) {
        return 1;
    }

    (void) fputs(text, stdout);
    free(text);

    return 0;
}


static int
v2_main_start(const v2_options_t *o, v2_conf_t *conf)
{
    if (o->run) {
        conf->daemon = V2_DAEMON_OFF;
    }

    v2_main_limits();

    if (v2_pidfile_open(conf->pid_file) != V2_OK
        || v2_master_check(conf, 0) != V2_OK
        || v2_main_log(conf) != V2_OK
        || (conf->daemon == V2_DAEMON_ON && v2_main_daemon() != V2_OK))
    {
        v2_pidfile_close();
        return 1;
    }

    return v2_master_run(conf, o->overrides);
}


static v2_int_t
v2_main_log(const v2_conf_t *conf)
{
    int          fd;
    const char  *path;
    v2_rights_t  rights;

    fd = STDERR_FILENO;
    path = v2_master_log_path(conf);

    if (path[0] != '\0') {
        if (v2_rights_find(&rights, conf->user, conf->group) != V2_OK) {
            return V2_ERROR;
        }

        fd = v2_file_log(&rights, path);

        if (fd == -1) {
            return V2_ERROR;
        }
    }

    v2_log_init(fd, conf->log_level, -1);

    return V2_OK;
}


/* Each connection is two descriptors. */

static void
v2_main_limits(void)
{
    struct rlimit  rl;

    if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur < rl.rlim_max) {
        rl.rlim_cur = rl.rlim_max;

        if (setrlimit(RLIMIT_NOFILE, &rl) == -1) {
            v2_log(V2_LOG_WARN, NULL, errno, "setrlimit(RLIMIT_NOFILE) "
                   "failed");
        }
    }

    (void) prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}


static v2_int_t
v2_main_daemon(void)
{
    int    fd;
    pid_t  pid;

    pid = fork();

    if (pid == -1) {
        v2_log(V2_LOG_EMERG, NULL, errno, "fork() failed");
        return V2_ERROR;
    }

    if (pid > 0) {
        _exit(0);
    }

    (void) setsid();
    fd = open("/dev/null", O_RDWR);

    if (fd == -1) {
        v2_log(V2_LOG_EMERG, NULL, errno, "open() \"/dev/null\" failed");
        return V2_ERROR;
    }

    (void) dup2(fd, STDIN_FILENO);
    (void) dup2(fd, STDOUT_FILENO);
    (void) dup2(fd, STDERR_FILENO);

    if (fd > STDERR_FILENO) {
        (void) close(fd);
    }

    return V2_OK;
}
