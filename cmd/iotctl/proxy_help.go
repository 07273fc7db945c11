package main

import (
	_ "embed"
	"strings"

	"github.com/spf13/cobra"
)

// proxyConfig has every key of the proxy's configuration file with a comment.
//
//go:embed proxy_config.yaml
var proxyConfig string

// newProxyConfig is a help topic: a command without a run function.
func newProxyConfig() *cobra.Command {
	var b strings.Builder
	b.WriteString(`The configuration file of iotctl proxy is YAML. It is given with -c and checked
with --test-config. Unknown keys are errors. Every key but listen and to has a
default; names of files are relative to the directory of this one. This file has
all keys, where possible with the default:

`)
	for line := range strings.Lines(proxyConfig) {
		if line = strings.TrimRight(line, "\n"); line != "" {
			line = "  " + line
		}
		b.WriteString(line + "\n")
	}
	b.WriteString(`
Which broker a client comes to follows from its identifier and the URLs of the
brokers alone (rendezvous hashing), so several proxies agree about it, and a
broker that is added or removed moves only its share of the clients. One that is
down, drained or cannot be dialed is left out, and the next one of the same order
takes its place: the CONNECT is repeated there.

A client that has sent nothing for one and a half times its keep alive, or what
the broker's CONNACK has put in its place, and keep_alive_slack, is gone: its
connections are closed without a DISCONNECT, so that the broker publishes its
will. Nothing is read from one side that the other does not take: what is on its
way of a connection is at most some 200 KB, a packet in addition where something
looks at packets, and what the kernel's buffers hold.

Between plain sockets (mqtt://, unix://), with nothing that looks at packets, a
client that says nothing costs about 3 KB. Anything else has two goroutines, and
TLS its buffers.

With metrics there are, in the text form of Prometheus, at /metrics: connections
and their ends by reason, packets by direction and type, bytes, messages that
wait for their acknowledgement, times from packets to their answers (one at a
time of each connection is measured), faults, refusals, stalls, and the state of
brokers.
`)
	b.WriteString(proxyStagesHelp)
	return &cobra.Command{
		Use:   "proxy-config",
		Short: "The configuration file of proxy",
		Long:  strings.TrimRight(b.String(), "\n"),
	}
}
