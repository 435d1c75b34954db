#!/usr/bin/perl

# Rooms by what an object refers to (nm): v2_ symbols against the table of
# rooms, and functions of libc that a room must not call at all.

use strict;
use warnings;
use lib 't/lint';
use Rooms;

my $build = $ENV{BUILDDIR} || 'objs';
my $rooms = Rooms->new;
my $faults = 0;

my $malloc = 'malloc|calloc|realloc|reallocarray|free|strdup|strndup|' .
             'asprintf|vasprintf|posix_memalign|aligned_alloc';
my $io = 'read|write|readv|writev|pread|pwrite|open|openat|close|socket|' .
         'bind|listen|accept4?|connect|send|sendto|sendmsg|recv|recvfrom|' .
         'recvmsg|epoll_\w+|poll|ppoll|select|io_uring_\w+|fopen|mmap|' .
         'munmap|shm_open|memfd_create|fork|vfork|execve?|pthread_\w+|' .
         'clock_gettime|gettimeofday|time|sleep|usleep|nanosleep|getenv|' .
         'getaddrinfo|gethostbyname';
my $unsafe = 'gets|strcpy|strcat|sprintf|vsprintf|strtok|tmpnam|mktemp|' .
             'system|popen|gethostbyname|getaddrinfo';

# room or files => what may not be called there
my @forbidden = (
    [qr{^src/proto/}, qr/^($malloc)$/, 'no allocation in a codec'],
    [qr{^src/proto/}, qr/^($io)$/, 'a codec does no I/O and knows no clock'],
    [qr{^src/limit/}, qr/^($malloc)$/, 'shared memory only'],
    [qr{^src/core/v2_(conn|link|layer|sess|relay|udp|chain|dial)},
        qr/^($malloc)$/, 'no allocation on the packet path'],
    [qr{^src/core/v2_(addr|chain|codec|flat|crypt|tls13)},
        qr/^($io)$/, 'the bytes part does no I/O'],
    [qr{^src/}, qr/^($unsafe)$/, 'never'],
);

my $interface = do {
    local $/;
    open my $in, '<', 'src/core/v2_codec.h' or die "v2_codec.h: $!\n";
    <$in>;
};

# file => symbol => how often it was met
my %allow;

open my $list, '<', 't/lint/allow' or die "t/lint/allow: $!\n";

while (<$list>) {
    next if /^\s*(#|$)/;
    my ($file, $symbols, $why) = split ' ', $_, 3;
    die "t/lint/allow:$.: a line is: FILE SYMBOLS REASON\n" unless $why;
    $allow{$file}{$_} = 0 for split /,/, $symbols;
}

close $list;

my (%defined, %refers);

for my $object (glob("$build/src/*/*.o $build/v2_codecs.o $build/v2_panels.o"))
{
    my ($file) = $object =~ m{^\Q$build\E/(.*)\.o$};
    $file = "$file.c";
    next if $file =~ m{^src/} && !-e $file;

    for (split /\n/, qx{nm --portability $object}) {
        my ($symbol, $type) = split ' ';
        $symbol =~ s/@.*//;

        # Fortified and sanitized forms count as their plain ones.
        $symbol =~ s/^__(\w+)_chk$/$1/;

        if ($type eq 'U') { $refers{$file}{$symbol} = 1 }
        elsif ($type =~ /[A-Z]/) { $defined{$symbol} = $file }
    }
}

unless (%refers) {
    print "$build holds no objects, build first\n";
    exit 1;
}

sub room {
    my ($file) = @_;
    return $file =~ m{^src/} ? $rooms->part($file) : 'registry';
}

for my $file (sort keys %refers) {
    my $room = room($file);

    for my $symbol (sort keys %{$refers{$file}}) {
        for my $rule (@forbidden) {
            my ($where, $what, $why) = @$rule;
            next unless $file =~ $where && $symbol =~ $what;

            if (exists $allow{$file}{$symbol}) {
                $allow{$file}{$symbol}++;
                next;
            }

            print "$file: calls $symbol(): $why\n";
            $faults++;
        }

        my $owner = $defined{$symbol} or next;
        my $target = room($owner);

        next if $target eq $room || $rooms->{table}{$symbol};
        next if $rooms->{calls}{$room}{$target};
        # v2_codec.h is the interface that core gives to codecs.
        next if $room =~ /^(proto|bytes)$/
             && $interface =~ /\b\Q$symbol\E\(/;

        print "$file: uses $symbol of $owner: room \"$room\" may not know"
            . " \"$target\"\n";
        $faults++;
    }
}

for my $file (sort keys %allow) {
    for my $symbol (sort keys %{$allow{$file}}) {
        next if $allow{$file}{$symbol} || !$refers{$file};
        print "t/lint/allow: $file does not call $symbol\n";
        $faults++;
    }
}

exit($faults ? 1 : 0);
