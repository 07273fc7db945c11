package main

import (
	_ "embed"
	"strings"

	"github.com/spf13/cobra"
)

// serveConfig has every key of the configuration file with a comment.
//
//go:embed serve_config.yaml
var serveConfig string

// newServeConfig is a help topic: a command without a run function.
func newServeConfig() *cobra.Command {
	var b strings.Builder
	b.WriteString(`The configuration file of iotctl serve is YAML. It is given with -c, checked
with --test-config and read again on SIGHUP. Unknown keys are errors. Every key
has a default; this file has all of them, where possible with the default:

`)
	for line := range strings.Lines(serveConfig) {
		if line = strings.TrimRight(line, "\n"); line != "" {
			line = "  " + line
		}
		b.WriteString(line + "\n")
	}
	b.WriteString(`
What an acknowledgement promises (durability):

            kill -9, a crash           a power cut
  sync      nothing is lost            nothing is lost
  interval  what came in the last      what came in the last
            interval may be lost       interval may be lost
  memory    everything since the       everything since the
            start may be lost          start may be lost

It is about sessions that outlive their connection, with their subscriptions,
their wills, the messages that wait for them and the packet identifiers of QoS 2,
and about retained messages. Sessions that end with their connection are not
stored, nor are their wills. With sync the broker has to rely on what the disk
says: one that calls data written that is not yet loses it at a power cut.

With less than min_free on the disk the store is full: publishes with QoS 1 and 2
are refused (MQTT 5: quota exceeded) until there is room; deliveries go on. The
log says so, and $SYS/broker/store/full is 1; store/free has the bytes that are
left. A disk that refuses to write or to sync ends the broker with code 11.

Durations have a unit, as in 500ms, 10s, 5m or 7d. Sizes are bytes or have one,
as in 64KiB or 1MiB. A SIGHUP applies changes of listeners to the connections to
come. New rules of the ACL file hold for open connections at once; names,
passwords and certificates are checked when a client connects, so that one whose
password is gone stays until its connection ends. The settings of mqtt, mqttsn,
emqtcp, iottext and frame, and the files of frame.codecs, hold for clients that
connect from then on; mqttsn.multicast.groups and interfaces need a restart, as do
exproto, broker, store and sys_interval.

The path of a URL such as frame://0.0.0.0:5023/gt06 says which protocol is spoken
there: iotctl codec list has those of the program, and frame.codecs names files
with others, whose own tests have to pass (iotctl codec check). Devices whose
frames do not say who sends them are called what follows the protocol in the URL,
or else what device_id says, and are logged in as soon as they have connected.

Where devices may ask to be let in (auth.pairing), names of the password file and
certificates come first: a wrong password for a user there is refused, so that
whoever asks learns which names there are. Everybody else waits for approval,
also where allow_anonymous is true. Approved devices are in the file and, with
the key that their secrets are hashed with, in the one beside it that ends in
.key: a backup has to have both, and iotctl store backup has neither. Without
either, in a broker that keeps nothing, they are forgotten at its end.

Plain mqttsn:// has no connections: max_connections counts clients there, and
max_conn_rate, max_per_source, rate_limit, proxies and queue do not go with it;
see mqttsn.connect_rate and mqttsn.unknown_reply_rate.

What a listener has accepted, has open, has refused and has closed, and why, is
retained below $SYS/broker/listeners/NAME and logged when it closes: accepted,
open, refused/WHY, closed/WHY and, of datagrams, dropped/WHY; mqttsn:// has
datagrams/received, datagrams/sent, bytes/received and bytes/sent. In NAME the
characters that are special in topics are percent-encoded: / is %2F. What a
protocol counts beside that is below $SYS/broker/gateways/PROTOCOL, for emqtcp:
reserved_flags, denied and downlink_too_large; for frame: undecoded, bad_checksum,
bad_topic, denied and downlink_failed; for exproto: handler_errors, events_lost
and denied; for mqttsn: clients, connected, denied, left, lost, slept, woken,
dropped/WHY and many more.`)
	return &cobra.Command{
		Use:   "config",
		Short: "The configuration file of serve",
		Long:  b.String(),
	}
}
