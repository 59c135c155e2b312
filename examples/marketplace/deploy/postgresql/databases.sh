#!/bin/sh
# Makes a database for each boundary: its tables belong to the role `migrations`, and the role of its services may read and
# write rows, no more. PostgreSQL's image runs this once, on an empty volume; run it by hand for a server of your own.
set -eu

for boundary in accounts inventory payments; do
    case "$boundary" in
        accounts) password=$ACCOUNTS_PASSWORD ;;
        inventory) password=$INVENTORY_PASSWORD ;;
        payments) password=$PAYMENTS_PASSWORD ;;
    esac
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
        --set boundary="$boundary" --set password="$password" --set migrations="$MIGRATIONS_PASSWORD" <<'SQL'
SELECT 'CREATE ROLE migrations LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'migrations') \gexec
ALTER ROLE migrations PASSWORD :'migrations';
CREATE ROLE :"boundary" LOGIN PASSWORD :'password';
CREATE DATABASE :"boundary" OWNER migrations;
REVOKE ALL ON DATABASE :"boundary" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"boundary" TO :"boundary";
\connect :"boundary"
ALTER SCHEMA public OWNER TO migrations;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO :"boundary";
ALTER DEFAULT PRIVILEGES FOR ROLE migrations IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO :"boundary";
ALTER DEFAULT PRIVILEGES FOR ROLE migrations IN SCHEMA public GRANT USAGE ON SEQUENCES TO :"boundary";
SQL
done
