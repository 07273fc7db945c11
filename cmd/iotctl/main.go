// Command iotctl is an MQTT broker with protocol gateways, and the clients and
// tools that go with it, in one program.
//
// This package parses command lines, formats what people and scripts read, and
// turns errors into exit codes. Everything else lives in internal/.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	os.Exit(run(context.Background(), os.Args))
}

// run executes one command line and returns the exit code of the process.
func run(ctx context.Context, argv []string) int {
	// A closed standard output is an error of write, not the end by a signal.
	signal.Ignore(syscall.SIGPIPE)
	if p, ok := peerProgram(argv[0]); ok {
		return runPeer(ctx, p, argv[1:], os.Stdin, os.Stdout, os.Stderr)
	}
	root := newRootFor(argv[1:])
	root.SetArgs(foldCompletion(argv[1:]))
	// cobra reports unknown commands, bad flags and bad arguments before it
	// enters a command: whatever fails until then is a mistake in usage.
	entered := false
	root.PersistentPreRun = func(*cobra.Command, []string) { entered = true }
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !entered {
		err = usageFromCobra(cmd, err)
	}
	if err != nil {
		err = withForeign(cmd, argv[1:], err)
	}
	return newTerminal(root).report(err)
}
