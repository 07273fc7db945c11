package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/doctor"
)

// doctorTime bounds a whole run, unless -W says otherwise.
const doctorTime = 2 * time.Minute

func newDoctor() *cobra.Command {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, c := range doctor.About() {
		fmt.Fprintf(w, "  %s\t%s\n", c[0], c[1])
	}
	w.Flush()
	return clientCommand(progDoctor, &cobra.Command{
		Use:   "doctor [url] [options]",
		Short: "Examine a broker: network, TLS, limits, messages",
		Long: `Examines an MQTT broker from here, one check after the other, and says of each
whether it is ok, a warning, failed or skipped, and why, with a hint that can be
typed:

` + b.String() + `
All messages go below a random topic of its own (--prefix), client identifiers
are random unless there is -i, and what was retained or kept is removed at the
end, also after Ctrl-C. Names and passwords never go over a connection whose
certificate is not valid, unless there is --insecure. Each check has a bounded
time (--check-timeout), and so have all together (-W, 2 minutes without it).

Of emqtcp://, text:// and mqttsn:// it checks name, address, TLS and login, and
nothing of what is said after that.

-o json prints one object: doctor (the version of this form, 1), url, prefix,
mqtt_version, verdict (the worst of all), started, took_ms, and checks, a list of
objects of check, verdict, summary, details, hint, cause, took_ms and figures.
The exit code is that of the first check that has failed:

  0   all is well, perhaps with warnings
  3   name, network, TLS or WebSocket
  4   CONNECT was refused
  7   the connection was lost
  8   a message was refused
  9   a subscription was refused
  27  nothing came in time
  1   the broker does not do what MQTT says`,
		Example: `  iotctl doctor mqtt://localhost
  iotctl doctor mqtts://broker.example -u me --ask-password
  iotctl doctor mqtts://broker.example --only dns,tcp,tls
  iotctl doctor wss://broker.example/mqtt --skip sys -o json`,
	}, runDoctor)
}

func runDoctor(ctx context.Context, s *settings, t *terminal) error {
	cfg, err := s.doctorConfig(t)
	if err != nil {
		return err
	}
	view := &doctorView{t: t, target: cfg.Target.String()}
	if s.output == "text" {
		view.begin()
		cfg.OnResult = view.result
	}
	s.timeout = 0 // the doctor has it
	ctx, stop := runContext(ctx, s, catchAtOnce)
	defer stop()
	report, err := doctor.Run(ctx, cfg)
	if err != nil {
		return fail(exitUsage, err, "iotctl doctor --help")
	}
	if s.output == "json" {
		err = writeDoctorJSON(t.out, report)
	} else {
		err = view.end(report)
	}
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return failCause(ctx)
	}
	return failDoctor(report)
}

// doctorConfig translates the settings.
func (s *settings) doctorConfig(t *terminal) (doctor.Config, error) {
	if err := errors.Join(s.loadPassword(t), s.loadPSK()); err != nil {
		return doctor.Config{}, err
	}
	dial, err := s.dialConfig()
	if err != nil {
		return doctor.Config{}, err
	}
	c := doctor.Config{
		Target: s.endpoint(), Dial: dial,
		Version: s.version, ClientID: s.clientID(os.Getpid()), Username: s.username,
		KeepAlive: uint16(s.keepAlive), Properties: s.properties["connect"],
		Prefix: s.prefix, Only: s.only, Skip: s.skip,
		CheckTimeout: s.checkTimeout, ConnectTimeout: s.connectTimeout, Timeout: s.timeout,
		Tries: s.tries, MaxPacketBytes: s.maxPacket, MaxIDBytes: s.maxID,
	}
	if c.Timeout == 0 {
		c.Timeout = doctorTime
	}
	if s.password != nil {
		c.Password = []byte(*s.password)
	}
	if s.debug && s.device == nil {
		c.OnPacket = func(v mqtt.Version) func(client.Direction, []byte) {
			spoken := *s
			spoken.version = v
			return newPacketLog(&spoken, t)
		}
	}
	if s.device != nil {
		c.Device = s.doctorDevice(t)
	}
	if err := c.Validate(); err != nil {
		return c, fail(exitUsage, err, "iotctl doctor --help")
	}
	return c, nil
}

// doctorDevice logs in as a device of another protocol.
func (s *settings) doctorDevice(t *terminal) *doctor.Device {
	d := &doctor.Device{Name: s.device.name, Try: fmt.Sprintf("iotctl sub %s -i ID", s.endpoint())}
	d.Login = func(ctx context.Context) error {
		one := *s
		one.quiet = true
		if one.id == "" && one.idPrefix == "" {
			one.id = "iotctl-doctor"
		}
		e, err := newEngine(&one, t, nil, nil)
		if err != nil {
			return err
		}
		if _, err = e.Connect(ctx); err != nil {
			return err
		}
		return e.leave(mqtt.NormalDisconnection)
	}
	return d
}

// failDoctor is nil when nothing has failed.
func failDoctor(r *doctor.Report) error {
	bad := r.FirstFailure()
	if bad == nil {
		if r.Stopped != nil {
			return fail(exitTimeout, errTimedOut)
		}
		return nil
	}
	n := 0
	for _, x := range r.Results {
		if x.Verdict == doctor.Failed {
			n++
		}
	}
	return fail(doctorExit(bad.Cause), fmt.Errorf("%d of %d checks failed, first %s", n, len(r.Results), bad.Check))
}

func doctorExit(c doctor.Cause) exitCode {
	switch c {
	case doctor.Network, doctor.TLS, doctor.WebSocket:
		return exitConnect
	case doctor.Refused:
		return exitRefused
	case doctor.Publish:
		return exitPublishRefused
	case doctor.Subscribe:
		return exitSubscriptionRefused
	case doctor.Lost:
		return exitLost
	case doctor.Timeout, doctor.Stopped:
		return exitTimeout
	}
	return exitFailed
}
