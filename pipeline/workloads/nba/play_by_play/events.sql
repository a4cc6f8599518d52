-- Play-by-play events to one row a team and game. Each query below has a name, by which later ones read it.
--
-- Written once for DuckDB and Spark SQL, so it keeps to what both mean alike: STRING for text, REGEXP_REPLACE as the
-- one function of regular expressions, doubles in place of decimals (which divide differently), NULLIF under each
-- division. The engine defines raw_events: EVENT_COLUMNS of columns.py, as text, and file.
--
-- Possessions are counted, not estimated: each ends with a shot, a turnover, or the last of two or three free throws,
-- and an offensive rebound means that it had not ended (Oliver, Basketball on Paper, 2004, where the usual 0.44 stands
-- for what is counted here). A free throw "1 of 1" follows a made shot, or gives the ball back: it ends none.
--
-- What happened is one number, `play`: the time goes into grouping and sorting events, which numbers take half of
-- what texts take.
--     10, 11   free throw, missed or made             20, 21   two-point shot
--     12, 13   the same, ending its trip to the line  30, 31   three-point shot
--     40       turnover                               50       rebound that decides who has the ball
--      0       an event that breaks a rule            60       any other rebound
-- The feed notes a "deadball" rebound of the team after every miss that decides nothing, such as the first of two free
-- throws; and after the buzzer nobody has the ball.

-- query: typed_events
-- Texts to numbers. `time_left` in the period has six digits: minutes, seconds, hundredths.
SELECT
    file,
    date,
    period,
    clock,
    actionNumber,
    actionType,
    shotResult,
    description,
    qualifier,
    CASE WHEN game_id LIKE ' %' OR game_id LIKE '% ' THEN TRIM(game_id) ELSE game_id END AS game_id,
    TRIM(team) AS team,
    TRY_CAST(CASE WHEN LENGTH(date) = 8 THEN date ELSE REPLACE(SUBSTR(date, 1, 10), '-', '') END AS INT) AS day,
    TRY_CAST(CASE WHEN period LIKE '%.0' THEN REPLACE(period, '.0', '') ELSE period END AS INT) AS period_number,
    TRY_CAST(REPLACE(REPLACE(REPLACE(REPLACE(clock, 'PT', ''), 'M', ''), '.', ''), 'S', '') AS INT) AS time_left,
    TRY_CAST(CASE WHEN actionNumber LIKE '%.0' THEN REPLACE(actionNumber, '.0', '') ELSE actionNumber END AS INT)
        AS action_number
FROM raw_events
WHERE actionType IS NULL OR actionType IN ('', '2pt', '3pt', 'freethrow', 'rebound', 'turnover')

-- query: read_events
-- `broken` names the first column that breaks its rule (event_account.py has the rules in words). The text is asked as
-- it is in the file, because an engine may then ask once a value that a Parquet file lists, not once a row. What is
-- missing leaves no number. A day may be stored as its midnight; another time of day, or one in a time zone, may be of
-- the day before or after where the game is played.
SELECT
    *,
    CASE
        WHEN game_id IS NULL OR game_id = '' THEN 'game_id'
        WHEN REGEXP_REPLACE(
                date, '^(19|20)[0-9]{2}-?(0[1-9]|1[0-2])-?(0[1-9]|[12][0-9]|3[01])([ T]00:00:00([.]0+)?)?$', ''
            ) <> ''
            OR day IS NULL
            OR (day % 100 > 28 AND TRY_CAST(CONCAT(
                SUBSTR(CAST(day AS STRING), 1, 4), '-',
                SUBSTR(CAST(day AS STRING), 5, 2), '-',
                SUBSTR(CAST(day AS STRING), 7, 2)
            ) AS DATE) IS NULL)
            THEN 'date'
        WHEN REGEXP_REPLACE(period, '^[1-9][0-9]?([.]0)?$', '') <> '' OR period_number IS NULL THEN 'period'
        WHEN REGEXP_REPLACE(clock, '^PT[0-9]{2}M[0-9]{2}[.][0-9]{2}S$', '') <> '' OR time_left IS NULL THEN 'clock'
        WHEN REGEXP_REPLACE(actionNumber, '^[0-9]{1,9}([.]0)?$', '') <> '' OR action_number IS NULL THEN 'actionNumber'
        WHEN actionType IS NULL OR actionType = '' THEN 'actionType'
        WHEN actionType IN ('2pt', '3pt', 'freethrow') AND (shotResult IS NULL OR shotResult NOT IN ('Made', 'Missed'))
            THEN 'shotResult'
        WHEN team IS NULL OR team = '' THEN 'team'
        WHEN actionType = 'freethrow' AND (description IS NULL OR description = '') THEN 'description'
    END AS broken,
    CASE actionType
        WHEN 'freethrow' THEN
            CASE WHEN shotResult = 'Made' THEN 11 ELSE 10 END
            + CASE WHEN description LIKE '%2 of 2%' OR description LIKE '%3 of 3%' THEN 2 ELSE 0 END
        WHEN '2pt' THEN CASE WHEN shotResult = 'Made' THEN 21 ELSE 20 END
        WHEN '3pt' THEN CASE WHEN shotResult = 'Made' THEN 31 ELSE 30 END
        WHEN 'turnover' THEN 40
        WHEN 'rebound' THEN CASE WHEN qualifier LIKE '%deadball%' OR time_left = 0 THEN 60 ELSE 50 END
    END AS play
FROM typed_events

-- table: events
-- One row an event, however many files it stands in (`copies`); rows that contradict each other stay apart. `file`: in
-- which of them it counts, the first by name.
SELECT
    game_id,
    day,
    period_number,
    time_left,
    action_number,
    team,
    CASE WHEN broken IS NULL THEN play ELSE 0 END AS play,
    COUNT(*) AS copies,
    MIN(file) AS file
FROM read_events
GROUP BY 1, 2, 3, 4, 5, 6, 7

-- query: broken_events
SELECT
    file,
    broken AS broken_column,
    COALESCE(CASE broken
        WHEN 'date' THEN date
        WHEN 'period' THEN period
        WHEN 'clock' THEN clock
        WHEN 'actionNumber' THEN actionNumber
        WHEN 'shotResult' THEN shotResult
    END, '') AS found,
    COUNT(*) AS copies
FROM read_events
WHERE broken IS NOT NULL
GROUP BY 1, 2, 3

-- table: games
-- Which games can be counted, and what keeps the others from it.
SELECT
    *,
    CASE
        WHEN n_broken > 0 THEN 'has bad events'
        WHEN n_events <> n_actions THEN 'has events that contradict each other under one actionNumber'
        WHEN first_day <> last_day THEN 'has events of several days'
        WHEN n_teams <> 2 THEN 'does not have events of two teams'
        WHEN periods < 4 THEN 'has not reached the fourth period'
    END AS left_out
FROM (
    SELECT
        game_id,
        MIN(CASE WHEN play > 0 THEN day END) AS first_day,
        MAX(CASE WHEN play > 0 THEN day END) AS last_day,
        MAX(CASE WHEN play > 0 THEN period_number ELSE 0 END) AS periods,
        COUNT(DISTINCT CASE WHEN play > 0 THEN team END) AS n_teams,
        SUM(CASE WHEN play > 0 THEN 0 ELSE 1 END) AS n_broken,
        SUM(CASE WHEN play > 0 THEN 1 ELSE 0 END) AS n_events,
        COUNT(DISTINCT CASE WHEN play > 0 THEN action_number END) AS n_actions
    FROM events
    WHERE game_id <> ''
    GROUP BY game_id
) AS counted

-- query: ordered_events
-- Whose shot a rebound follows. Within a second the order is that of actionNumber, but a corrected event gets a late
-- number. What is no shot and decides nothing stands in a partition of its own.
SELECT
    *,
    LAG(CASE WHEN play < 40 THEN team END) OVER (
        PARTITION BY game_id, play IN (40, 60) ORDER BY period_number, time_left DESC, action_number
    ) AS shooting_team
FROM events

-- query: counted_plays
SELECT game_id, day, team, play, team = shooting_team AS own_shot, COUNT(*) AS n
FROM ordered_events
GROUP BY 1, 2, 3, 4, 5

-- query: box_scores
SELECT
    game_id,
    day,
    team,
    SUM(CASE play WHEN 31 THEN 3 * n WHEN 21 THEN 2 * n WHEN 13 THEN n WHEN 11 THEN n ELSE 0 END) AS points,
    SUM(CASE WHEN play IN (20, 21, 30, 31) THEN n ELSE 0 END) AS field_goals_attempted,
    SUM(CASE WHEN play IN (21, 31) THEN n ELSE 0 END) AS field_goals_made,
    SUM(CASE WHEN play IN (30, 31) THEN n ELSE 0 END) AS threes_attempted,
    SUM(CASE WHEN play = 31 THEN n ELSE 0 END) AS threes_made,
    SUM(CASE WHEN play IN (10, 11, 12, 13) THEN n ELSE 0 END) AS free_throws_attempted,
    SUM(CASE WHEN play IN (11, 13) THEN n ELSE 0 END) AS free_throws_made,
    SUM(CASE WHEN play IN (12, 13) THEN n ELSE 0 END) AS free_throw_trips,
    SUM(CASE WHEN play = 40 THEN n ELSE 0 END) AS turnovers,
    SUM(CASE WHEN play = 50 AND own_shot THEN n ELSE 0 END) AS offensive_rebounds,
    SUM(CASE WHEN play = 50 AND NOT own_shot THEN n ELSE 0 END) AS defensive_rebounds
FROM counted_plays
GROUP BY 1, 2, 3

-- table: counted_possessions
SELECT *, field_goals_attempted + free_throw_trips + turnovers - offensive_rebounds AS possessions
FROM box_scores

-- query: team_games
-- Shares and rates are the Four Factors (Oliver 2004) of the team and, with "opponent_", of what it allowed.
SELECT
    own.game_id,
    CONCAT(
        SUBSTR(CAST(own.day AS STRING), 1, 4), '-',
        SUBSTR(CAST(own.day AS STRING), 5, 2), '-',
        SUBSTR(CAST(own.day AS STRING), 7, 2)
    ) AS date,
    own.team,
    other.team AS opponent,
    CAST(48 + 5 * (games.periods - 4) AS INT) AS minutes,
    CAST(own.points AS INT) AS points,
    CAST(other.points AS INT) AS opponent_points,
    CAST(own.possessions AS INT) AS possessions,
    CAST(other.possessions AS INT) AS opponent_possessions,
    CAST(own.field_goals_made AS INT) AS field_goals_made,
    CAST(own.field_goals_attempted AS INT) AS field_goals_attempted,
    CAST(own.threes_made AS INT) AS threes_made,
    CAST(own.threes_attempted AS INT) AS threes_attempted,
    CAST(own.free_throws_made AS INT) AS free_throws_made,
    CAST(own.free_throws_attempted AS INT) AS free_throws_attempted,
    CAST(own.offensive_rebounds AS INT) AS offensive_rebounds,
    CAST(own.defensive_rebounds AS INT) AS defensive_rebounds,
    CAST(own.turnovers AS INT) AS turnovers,
    24.0E0 * (own.possessions + other.possessions) / (48 + 5 * (games.periods - 4)) AS pace,
    100.0E0 * own.points / NULLIF(own.possessions, 0) AS offensive_efficiency,
    100.0E0 * other.points / NULLIF(other.possessions, 0) AS defensive_efficiency,
    (own.field_goals_made + 0.5E0 * own.threes_made) / NULLIF(own.field_goals_attempted, 0) AS effective_field_goal_share,
    1.0E0 * own.turnovers / NULLIF(own.possessions, 0) AS turnover_share,
    1.0E0 * own.offensive_rebounds / NULLIF(own.offensive_rebounds + other.defensive_rebounds, 0)
        AS offensive_rebound_share,
    1.0E0 * own.free_throws_made / NULLIF(own.field_goals_attempted, 0) AS free_throw_rate,
    (other.field_goals_made + 0.5E0 * other.threes_made) / NULLIF(other.field_goals_attempted, 0)
        AS opponent_effective_field_goal_share,
    1.0E0 * other.turnovers / NULLIF(other.possessions, 0) AS opponent_turnover_share,
    1.0E0 * other.offensive_rebounds / NULLIF(other.offensive_rebounds + own.defensive_rebounds, 0)
        AS opponent_offensive_rebound_share,
    1.0E0 * other.free_throws_made / NULLIF(other.field_goals_attempted, 0) AS opponent_free_throw_rate
FROM counted_possessions AS own
JOIN counted_possessions AS other ON own.game_id = other.game_id AND own.team <> other.team
JOIN games ON own.game_id = games.game_id
WHERE games.left_out IS NULL
ORDER BY own.day, own.game_id, own.team

-- query: file_rows
-- Every row that was read, also of kinds that nothing here counts: substitutions, timeouts, whatever a feed may add.
SELECT file, actionType AS kind, COUNT(*) AS n_rows
FROM raw_events
GROUP BY 1, 2
