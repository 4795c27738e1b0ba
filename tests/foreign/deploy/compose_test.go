package deploy

import (
	"os"
	"strings"
	"testing"
)

func source(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(composeFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// changed is the file with one change, which must be one.
func changed(t *testing.T, text string, change [2]string) string {
	t.Helper()
	broken := strings.Replace(text, change[0], change[1], 1)
	if broken == text {
		t.Fatalf("nothing was changed: %s", change[0])
	}
	return broken
}

func TestTheComposeFileHasFourConfinedMembersWithDatabasesOfTheirOwn(t *testing.T) {
	project, err := load(source(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(project.Services) != 3*len(members) || len(project.Networks) != 1+len(members) {
		t.Fatalf("%d services, %d networks", len(project.Services), len(project.Networks))
	}
	for _, fault := range composeFaults(project, members) {
		t.Error(fault)
	}
	for _, name := range members {
		for _, port := range project.Services[name].Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is open to the network", name, port.Published)
			}
		}
		if image := project.Services[name+"-db"].Image; image != databaseImage {
			t.Errorf("%s: its database is %s", name, image)
		}
		for _, place := range []string{"/tmp:", "/var/run/postgresql:"} {
			if !strings.Contains(strings.Join(project.Services[name+"-db"].Tmpfs, " "), place) {
				t.Errorf("%s: its database cannot write to %s", name, place)
			}
		}
	}
}

func TestBrokenComposeFilesAreRefused(t *testing.T) {
	text := source(t)
	for name, change := range map[string][2]string{
		"a member that the schema does not have": {"  read_only: true", "  readonly: true"},
		"a list that is a number":                {"cap_drop: [ALL]", "cap_drop: 3"},
		"a duration that is none":                {"interval: 15s", "interval: often"},
		"a secret that is not declared":          {"source: payer-pgpass,", "source: broker-pgpass,"},
		"a network that is not declared":         {"networks: [payer-db]", "networks: [broker-db]"},
		"a condition that never was":             {"condition: service_healthy", "condition: service_wealthy"},
	} {
		if _, err := load(changed(t, text, change)); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestComposeFilesThatBreakTheRulesAreRefused(t *testing.T) {
	text := source(t)
	for name, change := range map[string][2]string{
		"a database on the members' network":  {"networks: [payer-db]\n    secrets:\n", "networks: [consensus, payer-db]\n    secrets:\n"},
		"a member in another's network":       {"networks: [consensus, clinic-db]", "networks: [consensus, clinic-db, payer-db]"},
		"a network with a way out":            {"clinic-db: { internal: true }", "clinic-db: {}"},
		"a database with a port":              {"volumes: [\"payer-db:", "ports: [\"127.0.0.1:5432:5432\"]\n    volumes: [\"payer-db:"},
		"a password in the address":           {"postgres://salus@clinic-db", "postgres://salus:x@clinic-db"},
		"a password in the environment":       {"POSTGRES_PASSWORD_FILE: /run/secrets/database-password", "POSTGRES_PASSWORD: x"},
		"another's database":                  {"postgres://salus@clinic-db", "postgres://salus@payer-db"},
		"another's password":                  {"source: clinic-password,", "source: payer-password,"},
		"another's password file":             {"source: clinic-pgpass,", "source: payer-pgpass,"},
		"another's data":                      {"network}/clinic:/data", "network}/payer:/data"},
		"another's rows":                      {"[\"clinic-db:/var", "[\"payer-db:/var"},
		"a database of root":                  {"user: \"999:999\"", "user: \"0:0\""},
		"capabilities":                        {"cap_drop: [ALL]", "cap_drop: [NET_RAW]"},
		"a file system that can be written":   {"read_only: true", "read_only: false"},
		"a database without a limit":          {"  mem_limit: 1g\n", ""},
		"rows without checksums":              {"--data-checksums ", ""},
		"a member that does not wait":         {"{ condition: service_completed_successfully }", "{ condition: service_started }"},
		"a secret that comes from the shell":  {"payer-password: { file: \"${SALUS_SECRETS:-./secrets}/payer.password\" }", "payer-password: { environment: PAYER }"},
		"a container that shares the machine": {"pids_limit: 256", "pids_limit: 256\n  pid: host"},
	} {
		project, err := load(changed(t, text, change))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(composeFaults(project, members)) == 0 {
			t.Errorf("%s was accepted", name)
		}
	}
}
