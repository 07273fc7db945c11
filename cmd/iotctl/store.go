package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/store"
	"github.com/iotctl/iotctl/internal/store/pebble"
)

func newStore() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store check|stats|dump|backup|restore",
		Short: "Look after what a broker keeps on disk",
		Long: `Works on the directory in which iotctl serve keeps sessions, queued and retained
messages: the one that --data names, or else the one that serve uses without
--data. A backup is such a directory, too.

stats and backup work whether a broker is running on the directory or not; they
ask it through the socket control.sock there, which answers only to the user of
the broker and to root. check, dump and restore are for directories that no
broker is using.`,
		Example: `  iotctl store stats
  iotctl store backup /backups/monday
  iotctl store check --data /backups/monday`,
		GroupID: groupRun,
		Args:    oneOfItsCommands,

		SuggestionsMinimumDistance: 2,
		RunE:                       func(*cobra.Command, []string) error { return nil }, // Args lets nothing through
	}
	cmd.AddCommand(newStoreCheck(), newStoreStats(), newStoreDump(), newStoreBackup(), newStoreRestore())
	return cmd
}

// oneOfItsCommands is for commands that do nothing of their own.
func oneOfItsCommands(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		err := fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath())
		hints := didYouMean(args[0], func(yield func(string) bool) {
			for _, c := range cmd.Commands() {
				if !yield(c.Name()) {
					return
				}
			}
		})
		return fail(exitUsage, err, append(hints, cmd.CommandPath()+" --help")...)
	}
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	return fail(exitUsage, fmt.Errorf("%s needs one of %s", cmd.CommandPath(), strings.Join(names, ", ")), cmd.CommandPath()+" --help")
}

// storeOptions is the command line of the commands below `iotctl store`.
type storeOptions struct {
	data string
	json bool
}

func (o *storeOptions) flags(cmd *cobra.Command) {
	dataFlag(cmd, &o.data, "the `directory` of the store or of a backup (default: the one that serve uses)")
}

const hintOtherData = "name another directory with --data DIR"

// dir is the directory to work on, which has to be there.
func (o *storeOptions) dir() (string, error) {
	dir, err := dataDir(o.data)
	if err != nil {
		return "", err
	}
	return storeIn(dir, hintOtherData)
}

// storeIn is dir, in which something has to be, or an error with a hint.
func storeIn(dir, hint string) (string, error) {
	if empty, err := isEmptyOrMissing(dir); err != nil || empty {
		if err == nil {
			err = fmt.Errorf("there is no store in %s", dir)
		}
		return "", fail(exitUsage, err, hint)
	}
	return dir, nil
}

// ask has the broker that runs on dir carry out a command. running is false
// when there is none.
func ask(ctx context.Context, dir, command string, arguments, answer any) (running bool, err error) {
	err = serve.Call(ctx, filepath.Join(dir, controlFile), command, arguments, answer)
	if errors.Is(err, serve.ErrNoServer) {
		return false, nil
	}
	return true, err
}

// explainStore adds what to type about an error on the store in dir.
func explainStore(dir string, err error) error {
	if errors.Is(err, pebble.ErrInUse) {
		return fail(exitFailed, err,
			"to look at a copy:  iotctl store backup --data "+quoteShell(dir)+" BACKUP, then the same with --data BACKUP")
	}
	if errors.Is(err, pebble.ErrNoStore) {
		return fail(exitUsage, err, hintOtherData)
	}
	if errors.Is(err, syscall.ENOSPC) {
		return explainFull(dir, err)
	}
	if errors.Is(err, store.ErrDamaged) {
		return explainDamaged(dir, err)
	}
	return err
}

func newStoreCheck() *cobra.Command {
	var o storeOptions
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Read everything in a store and report damage",
		Long: `Reads the whole store, verifies every checksum and that all records fit
together, and says what is there. It changes nothing. With damage it ends with
11 and says what is wrong.

No broker may be using the directory: of a running one, take a backup and check
that.`,
		Example: `  iotctl store check
  iotctl store backup /backups/monday && iotctl store check --data /backups/monday`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runStoreCheck(cmd.Context(), newTerminal(cmd), &o)
		},
	}
	o.flags(cmd)
	return cmd
}

func runStoreCheck(ctx context.Context, t *terminal, o *storeOptions) error {
	dir, err := o.dir()
	if err != nil {
		return err
	}
	report, err := pebble.Check(ctx, dir)
	if err != nil {
		return explainStore(dir, err)
	}
	for _, p := range report.Problems {
		t.errorf("%s", p)
	}
	if n := len(report.Problems); n > 0 {
		return fail(exitStore, fmt.Errorf("the store in %s is damaged: %s", dir, counted(n, "problem")), "iotctl store restore BACKUP --data NEW")
	}
	_, err = fmt.Fprintf(t.out, "%s is whole: %s in %s and the log\n", dir, counted(report.Records, "record"), counted(report.Tables, "table"))
	return err
}

// counted is a number of things, the name of which is given for one.
func counted(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

func newStoreStats() *cobra.Command {
	var o storeOptions
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "Tell what a store holds and how large it is",
		Long: `Prints what is in the store and what it takes on disk. It asks the broker that is
running on the directory, or reads the directory when there is none.`,
		Example: `  iotctl store stats
  iotctl store stats --json --data /backups/monday`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runStoreStats(cmd.Context(), newTerminal(cmd), &o)
		},
	}
	o.flags(cmd)
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return cmd
}

func runStoreStats(ctx context.Context, t *terminal, o *storeOptions) error {
	dir, err := o.dir()
	if err != nil {
		return err
	}
	var stats storeStats
	running, err := ask(ctx, dir, commandStats, nil, &stats)
	if !running {
		stats, err = statsOfStopped(dir)
	}
	if err != nil {
		return explainStore(dir, err)
	}
	if o.json {
		return json.NewEncoder(t.out).Encode(stats)
	}
	return stats.write(t.out, dir, running)
}

func statsOfStopped(dir string) (storeStats, error) {
	s, err := pebble.Inspect(dir)
	if err != nil {
		return storeStats{}, err
	}
	return statsOf(s), s.Close()
}

func newStoreBackup() *cobra.Command {
	var o storeOptions
	cmd := &cobra.Command{
		Use:   "backup directory",
		Short: "Copy a store, of a running broker or not, at one moment",
		Long: `Makes the directory, which must not be there yet, and puts a copy of the store
into it: all that was acknowledged when the command began, and nothing half. A
running broker makes the copy, as the user that it runs as, and goes on
meanwhile. On the same file system the copy shares its files with the store and
takes little room at first; a copy that is to survive the loss of the disk
belongs on another one.`,
		Example: `  iotctl store backup /backups/monday
  iotctl serve --data /backups/monday`,
		Args: oneDirectory,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runStoreBackup(cmd.Context(), newTerminal(cmd), &o, args[0])
		},
	}
	o.flags(cmd)
	return cmd
}

// oneDirectory wants one argument.
func oneDirectory(cmd *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return fail(exitUsage, fmt.Errorf("%s needs a directory", cmd.CommandPath()), cmd.CommandPath()+" --help")
	case 1:
		return nil
	}
	return usagef("%s takes one directory, and %q is another", cmd.CommandPath(), args[1])
}

func runStoreBackup(ctx context.Context, t *terminal, o *storeOptions, to string) error {
	dir, err := o.dir()
	if err != nil {
		return err
	}
	if to, err = filepath.Abs(to); err != nil {
		return err
	}
	if _, err := os.Lstat(to); err == nil {
		return fail(exitUsage, fmt.Errorf("%s is there already, and a backup makes its directory itself", to))
	}
	running, err := ask(ctx, dir, commandBackup, backupArguments{To: to}, nil)
	if !running {
		err = backupStopped(ctx, dir, to)
	}
	if err != nil {
		return explainStore(dir, err)
	}
	t.notef("%s is a copy of the store in %s", to, dir)
	return nil
}

func backupStopped(ctx context.Context, dir, to string) (err error) {
	if _, err := statsOfStopped(dir); err != nil {
		return err // Open would put a store where there is none
	}
	s, err := pebble.Open(pebble.Config{Dir: dir})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.Backup(ctx, to)
}

func newStoreRestore() *cobra.Command {
	var o storeOptions
	cmd := &cobra.Command{
		Use:   "restore backup",
		Short: "Put a backup where a broker will find it",
		Long: `Copies a backup into the directory of the store, which must be empty or missing.
The backup stays as it is. A store that is there is in the way: move it away
first, so that there is a way back.`,
		Example: `  iotctl store restore /backups/monday
  iotctl store restore /backups/monday --data /var/lib/iotctl`,
		Args: oneDirectory,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runStoreRestore(cmd.Context(), newTerminal(cmd), &o, args[0])
		},
	}
	dataFlag(cmd, &o.data, "the `directory` to restore into (default: the one that serve uses)")
	return cmd
}

func runStoreRestore(ctx context.Context, t *terminal, o *storeOptions, backup string) error {
	dir, err := dataDir(o.data)
	if err != nil {
		return err
	}
	if backup, err = filepath.Abs(backup); err != nil {
		return err
	}
	if backup, err = storeIn(backup, "name the directory that iotctl store backup has made"); err != nil {
		return err
	}
	empty, err := isEmptyOrMissing(dir)
	if err != nil {
		return err
	}
	if running, _ := ask(ctx, dir, commandStats, nil, &storeStats{}); running {
		return fail(exitUsage, fmt.Errorf("a broker is running on %s: end it first", dir), "or restore elsewhere with --data NEW")
	}
	if !empty {
		return fail(exitUsage, fmt.Errorf("%s is not empty, and what is there stays", dir),
			"mv "+quoteShell(dir)+" "+quoteShell(dir+".old"))
	}
	if err := pebble.Restore(ctx, backup, dir); err != nil {
		return explainStore(backup, err)
	}
	t.notef("the store in %s is now as in %s", dir, backup)
	return nil
}
