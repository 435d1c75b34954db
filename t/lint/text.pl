#!/usr/bin/perl

# Form of the text: 80 columns, US-ASCII, no tabs in C, no trailing blanks, no
# work left for later, two blank lines between functions.

use strict;
use warnings;

my $faults = 0;

sub fault {
    my ($file, $line, $text) = @_;
    print "$file:$line: $text\n";
    $faults++;
}

my @files = grep { -f && !-l } split /\n/,
    qx{find configure Makefile README.md CHANGES CONTRIBUTING.md LICENSE \\
       auto conf contrib man src t .ci -type f 2> /dev/null};

for my $file (@files) {
    next if $file =~ m{/corpus/|\.(der|pem|bin|png|dat|gz|pyc)$}
         || $file =~ m{/(data|vectors)/};

    open my $in, '<:raw', $file or die "$file: $!\n";
    my $c = $file =~ /\.[ch]$/;
    my $long = $c || $file =~ m{^(configure|auto/)|\.(sh|pl|pm|t)$};

    # Text that a program prints, and data, may be wide.
    $long = 0 if $file =~ m{auto/help$};

    my ($n, $blank, $prev) = (0, 0, '');

    while (my $s = <$in>) {
        $n++;
        fault($file, $n, 'no end of line') unless $s =~ s/\n\z//;
        fault($file, $n, 'not US-ASCII') if $s =~ /[^\x09\x20-\x7e]/;
        fault($file, $n, 'blank at the end') if $s =~ /[ \t]$/;
        fault($file, $n, 'longer than 80 columns: ' . length $s)
            if $long && length $s > 80;
        fault($file, $n, 'work left for later')
            if $s =~ /\b(TO[D]O|FIX[M]E|X[X]X)\b/;

        if ($c) {
            fault($file, $n, 'tab') if $s =~ /\t/;
            fault($file, $n, 'comment of C++')
                if $s =~ m{(^|[;{}\s])//\s} && $s !~ m{["*]};
            fault($file, $n, 'code taken out by #if 0')
                if $s =~ /^#\s*if\s+0\b/;
            fault($file, $n, 'blank before the first thing of a function')
                if $prev eq '{' && $s eq '';
            fault($file, $n, 'three blank lines') if $blank > 2;
        }

        $blank = $s eq '' ? $blank + 1 : 0;
        $prev = $s;
    }

    close $in;
}

exit($faults ? 1 : 0);
