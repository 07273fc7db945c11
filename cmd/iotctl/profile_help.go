package main

import "github.com/spf13/cobra"

// newProfiles is a help topic: a command without a run function.
func newProfiles() *cobra.Command {
	return &cobra.Command{
		Use:   "profiles",
		Short: "What can stand in a profile",
		Long: `A profile is a YAML file in iotctl/profiles in $XDG_CONFIG_HOME or ~/.config (on
Windows %AppData%), called NAME.yaml. Its keys are the long names of options:

  about: the plant in Graz
  extends: base                  # what is not here is taken from that profile
  url: mqtts://broker.example
  username: dashboard
  password: {keyring: plant}
  cafile: plant.pem
  qos: 1
  property:
    - connect user-property site graz
  payload:
    sensors/+/raw: gzip|json
    '#': auto
  sub:
    topic: ['sensors/#', alarms]
    verbose: true

Each command takes the keys that it has options for; what stands below the name of
a command is for that alone. Switches are true or false, options that may be
repeated can have a list. Files are looked for beside the profile; ~/ is the home
directory. A key that is no option is a mistake.

  password: TEXT                 the password; see below
  password: {keyring: ENTRY}     as iotctl profile set-password has put it there
  password: {command: PROGRAM}   the first line that the program prints; there is
                                 no shell, and it has a minute. A list of words
                                 does as well
  password: {file: FILE}         the first line of a file
  password: {ask: true}          ask on the terminal

A file that holds a secret, or a program to run, is refused if others than its
owner can read or change it. On Windows that is not looked at: other users cannot
open %AppData%.

WHICH ONE

--profile NAME, then IOTCTL_PROFILE, then the profile called default (see iotctl
profile use); --profile '' is none, and --no-defaults leaves out the one called
default. One that is not named on the command line is left out if the command line
names a broker, by URL, -h or --unix, and the profile does so, too: its password is
nobody else's business.

WHAT COUNTS

The command line counts more than the environment, that more than the profile, that
more than those it is built upon, and those more than the file of default options.
What counts more takes the place of the rest: -t on the command line is the only
topic. Properties (-D) are told apart by their names, user properties add up, and
payload rules do: those of the command line are asked first. --tls=false switches
off what a profile has switched on. iotctl profile show --effective COMMAND tells
what comes from where.`,
		Example: `  iotctl profile add plant mqtts://broker.example -u dashboard
  iotctl sub --profile plant -t 'sensors/#'
  iotctl profile show plant --effective sub`,
	}
}
