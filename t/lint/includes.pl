#!/usr/bin/perl

# Rooms by what a file includes, and the order of the first includes.

use strict;
use warnings;
use lib 't/lint';
use Rooms;

my $rooms = Rooms->new;
my $faults = 0;

for my $file (glob('src/*/*.[ch]')) {
    my $part = $rooms->part($file) or die "$file is in no room\n";
    my ($own) = $file =~ m{([^/]+)\.[ch]$};
    my @seen;

    open my $in, '<', $file or die "$file: $!\n";

    while (<$in>) {
        next unless /^\s*#\s*include\s+(["<])([^">]+)[">]/;
        my ($kind, $header) = ($1, $2);
        my $why;

        push @seen, $header;

        if ($kind eq '<') {
            $why = "only the files of its line in t/lint/rooms may include it"
                if $rooms->lib_fault($file, $header);

        } elsif ($header ne "$own.h" && !$rooms->may($part, $header)) {
            $why = "room \"$part\" may not know it";

        } elsif ($part eq 'process' && !-e "src/core/$header"
                 && $header ne 'v2_auto_config.h')
        {
            $why = 'core knows no room above it';
        }

        if (defined $why) {
            print "$file:$.: includes $header: $why\n";
            $faults++;
        }
    }

    close $in;

    if ($file =~ /\.c$/ && "@seen[0, 1]" ne 'v2_config.h v2_core.h') {
        print "$file:1: v2_config.h and v2_core.h come first\n";
        $faults++;
    }
}

exit($faults ? 1 : 0);
