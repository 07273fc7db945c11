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
Durations have a unit, as in 500ms, 10s, 5m or 7d. Sizes are bytes or have one,
as in 64KiB or 1MiB. A SIGHUP applies changes of listeners to the connections to
come. New rules of the ACL file hold for open connections at once; names,
passwords and certificates are checked when a client connects, so that one whose
password is gone stays until its connection ends. mqtt, broker, store and
sys_interval need a restart.

What a listener has accepted, has open, has refused and has closed, and why, is
retained below $SYS/broker/listeners/NAME and logged when it closes: accepted,
open, refused/WHY and closed/WHY. In NAME the characters that are special in
topics are percent-encoded: / is %2F.`)
	return &cobra.Command{
		Use:   "config",
		Short: "The configuration file of serve",
		Long:  b.String(),
	}
}
