package Rooms;

# Reads t/lint/rooms.

use strict;
use warnings;

sub new {
    my ($class) = @_;
    my $self = { parts => [], may => {}, lib => [], calls => {}, table => {} };

    open my $in, '<', 't/lint/rooms' or die "t/lint/rooms: $!\n";

    while (<$in>) {
        next if /^\s*(#|$)/;

        if (/^part (\S+): (.*)/) {
            my $name = $1;
            push @{$self->{parts}}, [$name, map { _glob($_) } split ' ', $2];

        } elsif (/^may (\S+): (.*)/) {
            $self->{may}{$1} = [split ' ', $2];

        } elsif (/^lib (\S+): (.*)/) {
            my $name = $1;
            push @{$self->{lib}}, [$name, map { _glob($_) } split ' ', $2];

        } elsif (/^calls (\S+): (.*)/) {
            $self->{calls}{$1} = { map { $_ => 1 } split ' ', $2 };

        } elsif (/^table (\S+)/) {
            $self->{table}{$1} = 1;

        } else {
            die "t/lint/rooms:$.: cannot read this line\n";
        }
    }

    close $in;

    return bless $self, $class;
}

# A glob as a regular expression; "v2_log*" does not match "v2_login" only
# because such a name does not exist.
sub _glob {
    my ($g) = @_;
    my $deep = 0;
    my $out = '';

    for my $ch (split //, $g) {
        if ($ch eq '*') { $out .= '[^/]*' }
        elsif ($ch eq '{') { $out .= '(?:'; $deep = 1 }
        elsif ($ch eq '}') { $out .= ')'; $deep = 0 }
        elsif ($ch eq ',' && $deep) { $out .= '|' }
        elsif ($ch =~ /[\[\]]/) { $out .= $ch }
        else { $out .= quotemeta $ch }
    }

    return qr/^$out$/;
}

sub part {
    my ($self, $file) = @_;

    for my $p (@{$self->{parts}}) {
        my ($name, @globs) = @$p;
        return $name if grep { $file =~ $_ } @globs;
    }

    return undef;
}

sub may {
    my ($self, $part, $header) = @_;

    for my $word (@{$self->{may}{$part}}) {
        return 1 if $word eq '*';

        if ($word =~ /^=(.*)/) {
            return 1 if $self->may($1, $header);
            next;
        }

        if ($word =~ /^@(.*)/) {
            my ($own) = glob("src/*/$header");
            return 1 if defined $own && -e $own
                     && ($self->part($own) || '') eq $1;
            next;
        }

        my $re = quotemeta $word;
        $re =~ s/\\\*/.*/g;
        return 1 if $header =~ /^v2_$re\.h$/;
    }

    return 0;
}

sub lib_fault {
    my ($self, $file, $header) = @_;
    my $own = 0;

    for my $l (@{$self->{lib}}) {
        my ($name, @globs) = @$l;
        next unless substr($header, 0, length $name) eq $name;
        return (grep { $file =~ $_ } @globs) ? 0 : 1;
    }

    return 0;
}

1;
