package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/auth/pairing"
	"github.com/iotctl/iotctl/internal/serve"
)

func newPair() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pair list|approve|reject|open|forget",
		Short: "Decide about devices that ask to be let in",
		Long: `A broker with auth.pairing in its configuration (see iotctl help config) lets
devices that it does not know ask to be let in. Such a device is refused with a
code, "pending approval, code 48-21", and stands in the list with that code until
it is approved or rejected, or has not tried for ten minutes. Approved, it is let
in at its next try, and remembered.

An approval is for one listener and client identifier and for what the device has
presented: the key of its certificate, or its user name and secret. Whoever comes
with the same identifier and anything else is a new request, and does not take
the place of the approved device. Compare the code with the one that the device
shows, if it can show one: anybody can call himself pump-7. For rules he is the
user device:pump-7, unless the approval gives him a name.

The commands ask the running broker through the socket control.sock in its data
directory, which answers only to the user of the broker and to root.`,
		Example: `  iotctl pair list
  iotctl pair approve 48-21
  iotctl pair open --for 120s --max 1`,
		GroupID: groupRun,
		Args:    oneOfItsCommands,

		SuggestionsMinimumDistance: 2,
		RunE:                       func(*cobra.Command, []string) error { return nil }, // Args lets nothing through
	}
	cmd.AddCommand(newPairList(), newPairApprove(), newPairReject(), newPairOpen(), newPairForget())
	return cmd
}

// pairOptions is the command line of the commands below `iotctl pair`.
type pairOptions struct {
	data     string
	listener string
	name     string
	duration lifetime
	max      int
	json     bool
	state    string

	asked, elsewhere string // see ask
}

func (o *pairOptions) flags(cmd *cobra.Command) {
	dataFlag(cmd, &o.data, "the data `directory` of the broker (default: the one that serve uses)")
}

func (o *pairOptions) listenerFlag(cmd *cobra.Command, usage string) {
	cmd.Flags().StringVar(&o.listener, "listener", "", usage)
}

// ask has the running broker carry out a command. o.asked says which that was,
// and o.elsewhere that it is not the one on the default directory.
func (o *pairOptions) ask(ctx context.Context, command string, arguments, answer any) error {
	dir, err := dataDir(o.data)
	if err != nil {
		return err
	}
	o.asked = "the broker on " + dir
	err = serve.Call(ctx, filepath.Join(dir, controlFile), command, arguments, answer)
	if errors.Is(err, serve.ErrNoServer) && o.data == "" {
		var process string
		if process, err = askEphemeral(ctx, command, arguments, answer); process != "" {
			o.asked = "the broker that keeps nothing (process " + process + ")"
			o.elsewhere = fmt.Sprintf("no broker is running on %s; one on another directory is named with --data DIR", dir)
		}
	}
	var said *serve.CommandError
	switch {
	case errors.Is(err, serve.ErrNoServer):
		return fail(exitConnect, fmt.Errorf("no broker is running on %s", dir), hintOtherData)
	case errors.Is(err, fs.ErrPermission):
		return fail(exitRefused, err, "run this as the user of the broker, or as root")
	case errors.As(err, &said) && said.Text == errNoPairing.Error():
		return fail(exitFailed, fmt.Errorf("%s lets no devices ask for approval", o.asked),
			o.hints("to let devices ask, add to its configuration file:  auth: {pairing: {}}")...)
	case said != nil:
		return fail(exitFailed, fmt.Errorf("%s: %w", o.asked, err), o.hints()...)
	}
	return err
}

// hints adds that perhaps another broker was meant.
func (o *pairOptions) hints(more ...string) []string {
	if o.elsewhere == "" {
		return more
	}
	return append([]string{o.elsewhere}, more...)
}

// tellAsked says who has done something, where it may not be the broker that was
// meant.
func (o *pairOptions) tellAsked(t *terminal) {
	if o.elsewhere != "" {
		t.notef("that was %s: %s", o.asked, o.elsewhere)
	}
}

// askEphemeral asks the one broker of this user that keeps nothing, and returns
// its process. A socket that somebody else may have put there would be answered by
// him.
func askEphemeral(ctx context.Context, command string, arguments, answer any) (process string, err error) {
	dir := runtimeDir()
	switch err := mustBeOwn(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return "", serve.ErrNoServer
	case err != nil:
		return "", err
	}
	sockets, err := ephemeralSockets(dir)
	switch {
	case err != nil || len(sockets) == 0:
		return "", errors.Join(serve.ErrNoServer, err)
	case len(sockets) > 1:
		return "", fail(exitUsage, fmt.Errorf("%d brokers that keep nothing are running, and none on %s: which is meant?", len(sockets), defaultDataDir()),
			"a broker with a data directory is named with --data DIR; of those that keep nothing only a single one can be asked")
	}
	return processOf(sockets[0]), serve.Call(ctx, sockets[0], command, arguments, answer)
}

func newPairApprove() *cobra.Command {
	var o pairOptions
	cmd := &cobra.Command{
		Use:   "approve code|client",
		Short: "Let a device in",
		Long: `Lets a device in from its next try on. It is named by the code of its request,
or by its client identifier where there is only one device of that name in the
list; what looks like a code is one.

The device is the user --name, or device: and its client identifier, as in
device:pump-7: rules of the ACL file go by that ("user device:pump-7"); patterns
with %c go by the client identifier alone. What a device calls itself is thus
never the name of a user of the password file, which cannot have a colon in it,
nor of a certificate. Such a name, or one that another device has, is given with
--name alone. With --for the approval ends after that time, and the connection
with it. Of a device that is approved already name and time are changed; it has
to connect again when the name is another.`,
		Example: `  iotctl pair approve 48-21
  iotctl pair approve 48-21 --name pumps --for 30d`,
		Args: oneDevice,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runPairDecision(cmd.Context(), newTerminal(cmd), &o, commandPairApprove, args[0])
		},
	}
	o.flags(cmd)
	o.listenerFlag(cmd, "the device is at the listener of this `name`")
	cmd.Flags().StringVar(&o.name, "name", "", "the `user` that the device will be (default: device: and its client identifier)")
	cmd.Flags().Var(&o.duration, "for", "how long the approval lasts, as in 8h or 30d (default: for good)")
	return cmd
}

func newPairReject() *cobra.Command {
	var o pairOptions
	cmd := &cobra.Command{
		Use:   "reject code|client",
		Short: "Keep a device out, or send it away",
		Long: `Keeps a device out. It is remembered, so that it does not ask again; one that is
approved loses its connection. With another key or secret it can ask again.
iotctl pair approve changes a rejection, iotctl pair forget takes it back.`,
		Example: `  iotctl pair reject 48-21`,
		Args:    oneDevice,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runPairDecision(cmd.Context(), newTerminal(cmd), &o, commandPairReject, args[0])
		},
	}
	o.flags(cmd)
	o.listenerFlag(cmd, "the device is at the listener of this `name`")
	return cmd
}

func newPairForget() *cobra.Command {
	var o pairOptions
	cmd := &cobra.Command{
		Use:   "forget code|client",
		Short: "Make a device unknown again",
		Long: `Takes a device out of the list, whatever had been decided. One that is approved
loses its connection; at its next try it asks again. That is the way to let a
device in that has a new key or secret: forget the old one, approve the new one.`,
		Example: `  iotctl pair forget pump-7
  iotctl pair forget 48-21`,
		Args: oneDevice,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runPairDecision(cmd.Context(), newTerminal(cmd), &o, commandPairForget, args[0])
		},
	}
	o.flags(cmd)
	o.listenerFlag(cmd, "the device is at the listener of this `name`")
	return cmd
}

// oneDevice wants one argument.
func oneDevice(cmd *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return fail(exitUsage, fmt.Errorf("%s needs the code or the client identifier of a device", cmd.CommandPath()), "iotctl pair list")
	case 1:
		return nil
	}
	return usagef("%s takes one device, and %q is another", cmd.CommandPath(), args[1])
}

func runPairDecision(ctx context.Context, t *terminal, o *pairOptions, command, device string) error {
	var d pairDecided
	q := pairDecision{Device: device, Listener: o.listener, Name: o.name, For: time.Duration(o.duration)}
	if err := o.ask(ctx, command, q, &d); err != nil {
		return err
	}
	verb := command[len("pair."):]
	switch {
	case len(d.Devices) == 0:
		return fail(exitFailed, fmt.Errorf("%s knows no device %q; a request is forgotten when it is not repeated", o.asked, device),
			o.hints("iotctl pair list")...)
	case len(d.Devices) > 1:
		return ambiguous(verb, device, d.Devices)
	case d.Refused != nil:
		return refusedPair(d.Devices[0], d.Refused)
	}
	defer o.tellAsked(t)
	e := d.Devices[0]
	who := fmt.Sprintf("%s (code %s) at listener %s", pairing.Printable(e.Client), e.Code, pairing.Printable(e.Listener))
	switch {
	case command == commandPairForget:
		t.notef("%s is forgotten", who)
	case e.State == pairing.Rejected:
		t.notef("%s is rejected", who)
	case e.Until != nil:
		t.notef("%s is approved as user %s until %s", who, pairing.Printable(e.Name), e.Until.Local().Format(time.DateTime))
	default:
		t.notef("%s is approved as user %s", who, pairing.Printable(e.Name))
	}
	if e.Insecure && e.State == pairing.Approved && command == commandPairApprove {
		t.warnf("it presents nothing but its name: whoever uses that name is let in in its place")
	}
	return nil
}

// ambiguous lists the devices of which one has to be named by its code.
func ambiguous(verb, device string, all []pairing.Entry) error {
	var hints []string
	for _, e := range all[:min(len(all), 20)] {
		hints = append(hints, fmt.Sprintf("iotctl pair %s %s  for the one that is %s at listener %s and presents %s, last seen at %s",
			verb, e.Code, e.State, pairing.Printable(e.Listener), presents(e), e.Last.Local().Format(time.TimeOnly)))
	}
	return fail(exitUsage, fmt.Errorf("there are %d devices %q", len(all), device), hints...)
}

func refusedPair(e pairing.Entry, r *pairRefusal) error {
	switch {
	case r.Code != "":
		return fail(exitFailed, errors.New(r.Text), "iotctl pair forget "+r.Code)
	case r.Name:
		return fail(exitFailed, errors.New(r.Text), "iotctl pair approve "+e.Code+" --name USER")
	}
	return errors.New(r.Text)
}

func newPairOpen() *cobra.Command {
	var o pairOptions
	cmd := &cobra.Command{
		Use:   "open",
		Short: "Let the next device in without being asked",
		Long: `Approves the next devices that ask, without anybody looking at them: press the
button, switch the device on. It returns at once; iotctl pair list shows how long
the door is open. Nobody takes the place of a device that is approved, and nobody
becomes another user in this way: pump-7 is the user device:pump-7. Opening again
replaces what was open; --max 0 shuts the door.`,
		Example: `  iotctl pair open --for 120s --max 1
  iotctl pair open --max 0`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runPairOpen(cmd.Context(), newTerminal(cmd), &o)
		},
	}
	o.duration = lifetime(2 * time.Minute)
	o.flags(cmd)
	o.listenerFlag(cmd, "for devices at the listener of this `name` (default: all)")
	cmd.Flags().Var(&o.duration, "for", "how long the door is open, an hour at most")
	cmd.Flags().IntVar(&o.max, "max", 1, "the `number` of devices that may come in")
	return cmd
}

func runPairOpen(ctx context.Context, t *terminal, o *pairOptions) error {
	within := time.Duration(o.duration)
	switch {
	case o.max < 0 || o.max > pairing.MaxOpenFor:
		return usagef("--max %d: not between 0 and %d", o.max, pairing.MaxOpenFor)
	case within < time.Second || within > pairing.MaxOpen:
		return usagef("--for %v: not between 1s and %v", within, pairing.MaxOpen)
	}
	if err := o.ask(ctx, commandPairOpen, pairOpening{For: within, Max: o.max, Listener: o.listener}, nil); err != nil {
		return err
	}
	defer o.tellAsked(t)
	if o.max == 0 {
		t.notef("the door is shut")
		return nil
	}
	t.notef("the door is open for %s until %s", counted(o.max, "device"), time.Now().Add(within).Format(time.TimeOnly))
	return nil
}

// lifetime is a time span that may be given in days.
type lifetime time.Duration

func (l *lifetime) String() string {
	if *l == 0 {
		return ""
	}
	return time.Duration(*l).String()
}

// Type is what help calls the value.
func (l *lifetime) Type() string { return "time" }

// Set implements pflag.Value.
func (l *lifetime) Set(v string) error {
	d, err := parseLifetime(v)
	if err != nil || d <= 0 {
		return errors.New("want a time like 120s, 8h or 30d")
	}
	*l = lifetime(d)
	return nil
}
