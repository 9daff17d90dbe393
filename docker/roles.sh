#!/bin/sh
# Make the two roles when PostgreSQL starts for the first time: the owner migrates, the application owns nothing.
set -eu

psql --set=ON_ERROR_STOP=1 --username=postgres --dbname="$POSTGRES_DB" \
    --set=owner_password="$OWNER_PASSWORD" --set=app_password="$APP_PASSWORD" --set=name="$POSTGRES_DB" <<'SQL'
CREATE ROLE vaglio_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE vaglio_app LOGIN PASSWORD :'app_password';
ALTER DATABASE :"name" OWNER TO vaglio_owner;
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"name" TO vaglio_app;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO vaglio_app;
SQL
