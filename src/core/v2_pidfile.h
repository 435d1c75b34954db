/* The pid file of the master: its lock says whether one runs, its text says
 * which. The lock (flock) belongs to the open file, so it holds over the
 * fork of a daemon; children close their copy. */

#ifndef V2_PIDFILE_H
#define V2_PIDFILE_H

/* Opens and locks the file, and makes its folder. V2_ERROR: logged ("already
 * running, pid N"). An empty path: nothing is done. */
v2_int_t  v2_pidfile_open(const char *path);
/* Writes the pid of the caller. */
v2_int_t  v2_pidfile_write(void);
/* Removes the file and its lock. */
void      v2_pidfile_close(void);

/* The pid of the running master, or -1: logged. */
pid_t     v2_pidfile_read(const char *path);

#endif
